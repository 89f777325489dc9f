# SPDX-License-Identifier: Apache-2.0
"""Signing keys and trust policies as files.

    <root>/private/<tenant>/signing.key   0600 in 0700 folders: PKCS #8 PEM, Ed25519, not encrypted
    <root>/private/<tenant>/p256.key      the same, on P-256, once somebody asks for a co-signature
    <root>/trust/<tenant>.json            0644: the tenant's public trust policy

Keys are made at first use and appear in one step that never replaces a key, so processes that race agree on one. A key or
folder that others may read is refused, never repaired: who read it is unknown. Rotation writes the policy first and the key
then: killed in between, the old key signs on. Policies are changed under a lock and keep every revocation.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from artifacts.durable import sync_folder, write_atomically
from artifacts.keys.changes import check_may_sign, revoked, rotated, with_key
from artifacts.keys.keyfile import State, private_folder, read_key_file, state_of
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import MAX_POLICY_BYTES, TrustPolicy, malformed_policy
from core.clock import Clock, SystemClock
from core.errors import ErrorCode, SignatureError
from core.refs import parse_name

KEY_NAME: Final = "signing.key"
CO_KEY_NAME: Final = "p256.key"


class FileTrust:
    """Reads ``<folder>/<tenant>.json``, again whenever the file changes. Links are followed: the folder is the operator's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cached: dict[str, tuple[tuple[int, ...], TrustPolicy]] = {}

    def has(self, tenant: str) -> bool:
        """Whether there is a policy of the tenant, readable or not."""
        return self._path(tenant).exists()

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now.

        Raises:
            SignatureError: ``SIGN_003`` if there is none, it cannot be read or it is another tenant's.
        """
        path = self._path(tenant)
        try:
            with path.open("rb") as file:
                state = os.fstat(file.fileno())
                version = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
                cached = self._cached.get(tenant)
                if cached is not None and cached[0] == version:
                    return cached[1]
                policy = TrustPolicy.from_bytes(file.read(MAX_POLICY_BYTES + 1))
        except OSError as error:
            raise _no_policy(tenant, path, error) from error
        if policy.tenant != tenant:
            raise malformed_policy(f"it is of tenant {policy.tenant!r}; expected {tenant!r}")
        self._cached[tenant] = (version, policy)
        return policy

    def _path(self, tenant: str) -> Path:
        return self._folder / f"{parse_name(tenant, what='tenant')}.json"


class FileKeyProvider:
    """Keeps the keys of every tenant below one folder.

    Args:
        root: The folder.
        clock: For the times in policies; None: the machine's.
    """

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self._private = root / "private"
        self._public = root / "trust"
        self._trust = FileTrust(self._public)
        self._clock = clock or SystemClock()
        self._signers: dict[str, tuple[State, Ed25519Signer]] = {}
        self._threads = threading.Lock()

    def signer(self, tenant: str) -> Ed25519Signer:
        """The tenant's signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if the key is damaged or readable by others.
            Conflict: ``STATE_001`` if it is revoked.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        signer = self._own_key(tenant)
        check_may_sign(self._trust.policy(tenant), signer)
        return signer

    def co_signer(self, tenant: str) -> EcdsaP256Signer:
        """The tenant's P-256 signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if the key is damaged or readable by others.
        """
        self._own_key(tenant)
        path = self._private / tenant / CO_KEY_NAME
        if not path.exists():
            write_atomically(path, EcdsaP256Signer.generate().to_pem(), mode=0o600, replace=False)
        return EcdsaP256Signer.from_pem(read_key_file(path))

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now; it always lists the tenant's own key.

        Raises:
            InitError: ``INIT_001`` if the tenant's key is damaged or readable by others.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        self._own_key(tenant)
        return self._trust.policy(tenant)

    def rotate(self, tenant: str, *, not_after: datetime | None) -> Ed25519Signer:
        """Makes a new signing key and destroys the one before, whose signatures count until ``not_after``.

        Raises:
            InitError: ``INIT_001`` if the tenant's key is damaged or readable by others.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        self._own_key(tenant)
        with self._locked(tenant):
            path, new = self._private / tenant / KEY_NAME, Ed25519Signer.generate()
            old = Ed25519Signer.from_pem(read_key_file(path))
            policy, now = self._trust.policy(tenant), self._clock.now()
            self._write(policy, rotated(policy, old=old.key_id, new=new, not_after=not_after, now=now))
            write_atomically(path, new.to_pem(), mode=0o600, replace=True)
        return self._own_key(tenant)

    def revoke(self, tenant: str, *, keys: frozenset[str] = frozenset(), digests: frozenset[str] = frozenset()) -> None:
        """Adds key ids and digests to the tenant's revocation lists.

        Raises:
            InvalidRequest: ``VALID_002`` if an id or digest is malformed.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        self._own_key(tenant)
        with self._locked(tenant):
            old = self._trust.policy(tenant)
            self._write(old, revoked(old, keys=keys, digests=digests, now=self._clock.now()))

    def _own_key(self, tenant: str) -> Ed25519Signer:
        """The tenant's key as it is now: another process may have rotated it."""
        path = self._private / parse_name(tenant, what="tenant") / KEY_NAME
        with self._threads:
            known, state = self._signers.get(tenant), state_of(path)
            if known is not None and known[0] == state:
                return known[1]
            signer = self._load_or_make(tenant, path)
            self._signers[tenant] = (state_of(path) or (), signer)
            return signer

    def _load_or_make(self, tenant: str, path: Path) -> Ed25519Signer:
        for folder in (self._private, self._private / tenant):
            private_folder(folder)
        self._public.mkdir(mode=0o755, exist_ok=True)
        if not path.exists() and write_atomically(path, Ed25519Signer.generate().to_pem(), mode=0o600, replace=False):
            sync_folder(self._private)
        with self._locked(tenant):
            signer = Ed25519Signer.from_pem(read_key_file(path))
            known = (self._public / f"{tenant}.json").exists()
            policy = self._trust.policy(tenant) if known else TrustPolicy(tenant=tenant)
            self._write(policy, with_key(policy, signer, self._clock.now()))
        return signer

    def _write(self, old: TrustPolicy, new: TrustPolicy) -> None:
        if new is old:
            return
        data = new.to_bytes()
        TrustPolicy.from_bytes(data)  # a policy nobody could read again must not replace one that works
        write_atomically(self._public / f"{new.tenant}.json", data, mode=0o644, replace=True)

    @contextmanager
    def _locked(self, tenant: str) -> Iterator[None]:
        """Excludes other processes and threads from changing the tenant's policy. Ends with the process."""
        descriptor = os.open(
            self._private / tenant / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _no_policy(tenant: str, path: Path, error: OSError) -> SignatureError:
    return SignatureError(
        ErrorCode.SIGNER_UNTRUSTED,
        f"Tenant {tenant!r} has no trust policy that can be read ({error.strerror}); expected a file {path.name!r}.",
        details={"tenant": tenant},
        log_context={"path": str(path)},
    )

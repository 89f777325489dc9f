# SPDX-License-Identifier: Apache-2.0
"""Signing keys and trust policies as files.

    <root>/private/<tenant>/signing.key   0600 in 0700 folders: PKCS #8 PEM, Ed25519, not encrypted
    <root>/trust/<tenant>.json            0644: the tenant's public trust policy

The key is made at first use and appears in one step that never replaces a key, so processes that race agree on one. A key or
folder that others may read is refused, never repaired: who read it is unknown. To rotate a key, move ``signing.key`` away;
the old key stays trusted until it is revoked. Policies are changed under a lock and keep every revocation.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from artifacts.digest import PREFIX, parse_digest
from artifacts.durable import sync_folder, write_atomically
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import MAX_POLICY_BYTES, TrustedKey, TrustPolicy, malformed_policy
from core.errors import ErrorCode, InitError, SignatureError
from core.refs import parse_name

KEY_NAME: Final = "signing.key"
MAX_KEY_BYTES: Final = 16 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FileTrust:
    """Reads ``<folder>/<tenant>.json``, again whenever the file changes. Links are followed: the folder is the operator's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cached: dict[str, tuple[tuple[int, ...], TrustPolicy]] = {}

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now.

        Raises:
            SignatureError: ``SIGN_003`` if there is none, it cannot be read or it is another tenant's.
        """
        path = self._folder / f"{parse_name(tenant, what='tenant')}.json"
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


class FileKeyProvider:
    """Keeps one Ed25519 key per tenant below one folder."""

    def __init__(self, root: Path) -> None:
        self._private = root / "private"
        self._public = root / "trust"
        self._trust = FileTrust(self._public)
        self._signers: dict[str, Ed25519Signer] = {}
        self._threads = threading.Lock()

    def signer(self, tenant: str) -> Ed25519Signer:
        """The tenant's signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if the key is damaged, readable by others or revoked.
        """
        signer = self._own_key(tenant)
        if signer.key_id in self._trust.policy(tenant).revoked_keys:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"The signing key {signer.key_id} of tenant {tenant!r} is revoked. Move its {KEY_NAME} away and restart; "
                "a new key is then made.",
            )
        return signer

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now; it always lists the tenant's own key.

        Raises:
            InitError: ``INIT_001`` if the tenant's key is damaged or readable by others.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        self._own_key(tenant)
        return self._trust.policy(tenant)

    def revoke(self, tenant: str, *, keys: frozenset[str] = frozenset(), digests: frozenset[str] = frozenset()) -> None:
        """Adds key ids and digests to the tenant's revocation lists.

        Raises:
            InvalidRequest: ``VALID_002`` if an id or digest is malformed.
            SignatureError: ``SIGN_003`` if the policy cannot be read.
        """
        for name in (*digests, *(PREFIX + key for key in keys)):
            parse_digest(name)
        self._own_key(tenant)
        with self._locked(tenant):
            old = self._trust.policy(tenant)
            self._write(
                replace(old, revoked_keys=old.revoked_keys | keys, revoked_digests=old.revoked_digests | digests)
            )

    def _own_key(self, tenant: str) -> Ed25519Signer:
        parse_name(tenant, what="tenant")
        with self._threads:
            signer = self._signers.get(tenant)
            if signer is None:
                signer = self._signers[tenant] = self._load_or_make(tenant)
            return signer

    def _load_or_make(self, tenant: str) -> Ed25519Signer:
        for folder in (self._private, self._private / tenant):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_shared(folder, folder.lstat().st_mode)
        self._public.mkdir(mode=0o755, exist_ok=True)
        path = self._private / tenant / KEY_NAME
        if not path.exists() and write_atomically(path, Ed25519Signer.generate().to_pem(), mode=0o600, replace=False):
            sync_folder(self._private)
        signer = _read_key(path)
        with self._locked(tenant):
            self._trust_own(tenant, signer)
        return signer

    def _trust_own(self, tenant: str, signer: Ed25519Signer) -> None:
        known = (self._public / f"{tenant}.json").exists()
        old = self._trust.policy(tenant) if known else TrustPolicy(tenant=tenant)
        if all(key.key_id != signer.key_id for key in old.keys):
            own = TrustedKey(key_id=signer.key_id, public_key=signer.public_key.decode())
            self._write(replace(old, keys=(*old.keys, own)))

    def _write(self, policy: TrustPolicy) -> None:
        data = policy.to_bytes()
        TrustPolicy.from_bytes(data)  # a policy nobody could read again must not replace one that works
        write_atomically(self._public / f"{policy.tenant}.json", data, mode=0o644, replace=True)

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


def _read_key(path: Path) -> Ed25519Signer:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be opened") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unusable(path, "it is not a plain file")
        _refuse_shared(path, mode)
        return Ed25519Signer.from_pem(file.read(MAX_KEY_BYTES))


def _refuse_shared(path: Path, mode: int) -> None:
    if mode & _OTHERS or stat.S_ISLNK(mode):
        wanted = "0700" if stat.S_ISDIR(mode) else "0600"
        raise _unusable(
            path, f"its mode is {stat.S_IMODE(mode):04o}; expected {wanted}, so that only its owner reads it"
        )


def _unusable(path: Path, reason: str) -> InitError:
    return InitError(
        ErrorCode.INIT_FAILED,
        f"The signing key file {path.name!r} cannot be used: {reason}. Repair it, or move it away to get a new key.",
        log_context={"path": str(path)},
    )


def _no_policy(tenant: str, path: Path, error: OSError) -> SignatureError:
    return SignatureError(
        ErrorCode.SIGNER_UNTRUSTED,
        f"Tenant {tenant!r} has no trust policy that can be read ({error.strerror}); expected a file {path.name!r}.",
        details={"tenant": tenant},
        log_context={"path": str(path)},
    )

# SPDX-License-Identifier: Apache-2.0
"""Signing keys and trust policies in Vault.

    <transit>/keys/<prefix>-sign-<tenant>     Ed25519; each version is one signing key
    <transit>/keys/<prefix>-p256-<tenant>     P-256, for co-signatures
    <kv>/<prefix>/trust/<tenant>              KV version 2: the field ``policy`` is the tenant's trust policy

The policy decides who signs: the last of its keys that transit holds. So a rotation counts from the one moment the policy is
written, with check-and-set, and processes that race agree on one. While Vault is away, policies that were read go on being
served and nothing can be signed. A policy that was deleted is not made anew: its revocations must not get lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest

from artifacts.durable import write_atomically
from artifacts.keys.changes import check_may_sign, revoked, rotated, with_key
from artifacts.keys.transit import TransitEngine, TransitSigner
from artifacts.secrets.connection import VaultConnection
from artifacts.secrets.remembered import Remembered
from artifacts.signing.policy import TrustPolicy, malformed_policy
from core.clock import Clock
from core.errors import ErrorCode, SignatureError, Unavailable
from core.refs import parse_name

FRESH_S: Final = 1.0  # a policy is used without asking again
_ATTEMPTS: Final = 20  # at a change that others make at the same time
_FIELD: Final = "policy"


class VaultKeyProvider:
    """Keeps the keys of every tenant in one Vault.

    Args:
        connection: To Vault.
        clock: For the times in policies and the age of what was read.
        transit_mount: Where the transit engine is mounted.
        kv_mount: Where the KV engine, version 2, is mounted.
        prefix: Of every name used there.
        mirror: A folder that gets each policy as ``<tenant>.json``, for servers on this machine; None: none does.
    """

    def __init__(
        self,
        connection: VaultConnection,
        clock: Clock,
        *,
        transit_mount: str = "transit",
        kv_mount: str = "secret",
        prefix: str = "furoshiki",
        mirror: Path | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._engine = TransitEngine(connection, transit_mount)
        self._kv_mount = kv_mount
        self._prefix = prefix
        self._mirror = mirror
        self._mirroring = threading.Lock()
        self._policies: Remembered[str, TrustPolicy] = Remembered(clock, fresh_s=FRESH_S)
        # What a transit key holds changes only with a rotation, and that with the serial.
        self._signers: Remembered[tuple[str, int], Mapping[str, TransitSigner]] = Remembered(
            clock, fresh_s=float("inf")
        )

    def signer(self, tenant: str) -> TransitSigner:
        """The tenant's signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if Vault lacks an engine or the key.
            Conflict: ``STATE_001`` if the key is revoked.
            Unavailable: ``STORE_001`` if Vault cannot be reached and nothing is remembered.
        """
        policy = self.policy(tenant)
        signers = self._signers.get((tenant, policy.serial), lambda: self._engine.signers(self._name("sign", tenant)))
        own = [signers[key.key_id] for key in policy.keys if key.key_id in signers]
        if not own:
            raise malformed_policy(f"it lists no key that transit holds for tenant {tenant!r}")
        check_may_sign(policy, own[-1])
        return own[-1]

    def co_signer(self, tenant: str) -> TransitSigner:
        """The tenant's P-256 signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if Vault lacks the engine.
            Unavailable: ``STORE_001`` if Vault cannot be reached.
        """
        name = self._name("p256", parse_name(tenant, what="tenant"))
        self._engine.make(name, "ecdsa-p256")
        return list(self._engine.signers(name).values())[-1]

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now, as it was while Vault is away.

        Raises:
            InitError: ``INIT_001`` if Vault lacks an engine.
            SignatureError: ``SIGN_003`` if the policy was deleted or cannot be read.
            Unavailable: ``STORE_001`` if Vault cannot be reached and nothing is remembered.
        """
        parse_name(tenant, what="tenant")
        return self._policies.get(tenant, lambda: self._current(tenant))

    def rotate(self, tenant: str, *, not_after: datetime | None) -> TransitSigner:
        """Makes a new signing key; the signatures of the one before count until ``not_after``.

        Raises:
            InitError, SignatureError, Unavailable: As :meth:`policy`.
        """
        self.policy(tenant)
        name = self._name("sign", tenant)
        self._engine.rotate(name)
        signers = self._engine.signers(name)
        new = list(signers.values())[-1]

        def step(policy: TrustPolicy) -> TrustPolicy:
            old = [key.key_id for key in policy.keys if key.key_id in signers and key.key_id != new.key_id][-1]
            return rotated(policy, old=old, new=new, not_after=not_after, now=self._clock.now())

        self._change(tenant, step)
        return new

    def revoke(self, tenant: str, *, keys: frozenset[str] = frozenset(), digests: frozenset[str] = frozenset()) -> None:
        """Adds key ids and digests to the tenant's revocation lists.

        Raises:
            InvalidRequest: ``VALID_002`` if an id or digest is malformed.
            InitError, SignatureError, Unavailable: As :meth:`policy`.
        """
        self.policy(tenant)
        self._change(tenant, lambda policy: revoked(policy, keys=keys, digests=digests, now=self._clock.now()))

    def _current(self, tenant: str) -> TrustPolicy:
        found = self._read(tenant)
        if found is None:
            name = self._name("sign", tenant)
            self._engine.make(name, "ed25519")
            first = list(self._engine.signers(name).values())[-1]
            return self._change(
                tenant, lambda policy: policy if policy.keys else with_key(policy, first, self._clock.now())
            )
        return self._noted(found[0])

    def _change(self, tenant: str, step: Callable[[TrustPolicy], TrustPolicy]) -> TrustPolicy:
        """Writes what ``step`` makes of the policy as it is now, however many others write at the same time."""
        for _ in range(_ATTEMPTS):
            policy, version = self._read(tenant) or (TrustPolicy(tenant=tenant), 0)
            changed = step(policy)
            if changed is policy or self._write(changed, version):
                self._policies.put(tenant, changed)
                return self._noted(changed)
            if not version and self._read(tenant) is None:
                raise _deleted(tenant)
        raise Unavailable(
            ErrorCode.STORE_UNAVAILABLE, "The trust policy is being changed by others; try again.", retry_after=1.0
        )

    def _read(self, tenant: str) -> tuple[TrustPolicy, int] | None:
        """The policy in Vault and the number of its version there; None if there is none."""

        def ask(client: hvac.Client) -> tuple[object, int]:
            found = client.secrets.kv.v2.read_secret_version(
                self._path(tenant), mount_point=self._kv_mount, raise_on_deleted_version=True
            )["data"]
            return found["data"].get(_FIELD), int(found["metadata"]["version"])

        try:
            text, version = self._connection.call(ask)
        except (InvalidPath, InvalidRequest):
            return None
        if not isinstance(text, str):
            raise malformed_policy(f"the secret {self._path(tenant)!r} has no text field {_FIELD!r}")
        policy = TrustPolicy.from_bytes(text.encode())
        if policy.tenant != tenant:
            raise malformed_policy(f"it is of tenant {policy.tenant!r}; expected {tenant!r}")
        return policy, version

    def _write(self, policy: TrustPolicy, version: int) -> bool:
        """Whether the policy was written: nobody else has written since ``version``."""
        secret = {_FIELD: policy.to_bytes().decode()}
        TrustPolicy.from_bytes(secret[_FIELD].encode())  # one nobody could read again must not replace one that works

        def ask(client: hvac.Client) -> None:
            client.secrets.kv.v2.create_or_update_secret(
                self._path(policy.tenant), secret=secret, cas=version, mount_point=self._kv_mount
            )

        try:
            self._connection.call(ask)
        except InvalidRequest:
            return False
        except InvalidPath:
            self._connection.demand(ask, what=f"the KV version 2 engine {self._kv_mount!r}")
        return True

    def _noted(self, policy: TrustPolicy) -> TrustPolicy:
        """Copies the policy into the mirror, if it is newer than what is there."""
        if self._mirror is not None:
            path = self._mirror / f"{policy.tenant}.json"
            with self._mirroring:
                try:
                    there = TrustPolicy.from_bytes(path.read_bytes()).serial
                except (OSError, SignatureError):
                    there = -1
                if there < policy.serial:
                    self._mirror.mkdir(mode=0o755, parents=True, exist_ok=True)
                    write_atomically(path, policy.to_bytes(), mode=0o644, replace=True)
        return policy

    def _name(self, kind: str, tenant: str) -> str:
        return f"{self._prefix}-{kind}-{tenant}"

    def _path(self, tenant: str) -> str:
        return f"{self._prefix}/trust/{tenant}"


def _deleted(tenant: str) -> SignatureError:
    return malformed_policy(f"that of tenant {tenant!r} was deleted in Vault; undelete it there")

# SPDX-License-Identifier: Apache-2.0
"""The newest policies that this server has seen, so that neither a restart nor an old copy brings revoked trust back.

    <folder>/<source>/<tenant>.json

Several processes may share the folder. Where it cannot be written, a policy is remembered until the process ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from artifacts.durable import write_atomically
from artifacts.signing.policy import MAX_POLICY_BYTES, TrustPolicy
from artifacts.signing.standing import newest
from core.errors import SignatureError
from core.telemetry.logs import get_logger

Source: TypeAlias = Literal["pinned", "registry"]

log = get_logger(__name__)


class SeenPolicies:
    """Policies by source and tenant; each only moves forwards.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[Source, str], TrustPolicy] = {}
        self._offered: dict[tuple[Source, str], TrustPolicy] = {}
        self._kept = True

    def last(self, source: Source, tenant: str) -> TrustPolicy | None:
        """The newest policy of a tenant seen so far; None if none was."""
        known = self._known.get((source, tenant))
        if known is None:
            known = self._read(source, tenant)
            if known is not None:
                self._known[source, tenant] = known
        return known

    def accept(self, source: Source, offered: TrustPolicy) -> TrustPolicy:
        """The policy to use now that ``offered`` is what the source says: never one older than was seen.

        Raises:
            SignatureError: ``SIGN_003`` if it revokes more than anybody can mean.
        """
        key = source, offered.tenant
        if self._offered.get(key) is offered or self._offered.get(key) == offered:
            return self._known[key]
        seen = self.last(source, offered.tenant)
        if seen is not None and offered.serial < seen.serial:
            log.error(
                "trust_policy_rolled_back", tenant=offered.tenant, source=source, got=offered.serial, seen=seen.serial
            )
        known = offered if seen is None else newest(seen, offered)
        self._known[key], self._offered[key] = known, offered
        if known != seen and known.serial:
            self._keep(source, known)
        return known

    def _read(self, source: Source, tenant: str) -> TrustPolicy | None:
        """What was kept. A file that cannot be read is as good as none: without it there is no memory to go by."""
        try:
            with self._path(source, tenant).open("rb") as file:
                return TrustPolicy.from_bytes(file.read(2 * MAX_POLICY_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, SignatureError) as error:
            log.error("trust_state_unreadable", tenant=tenant, source=source, cause=str(error))
            return None

    def _keep(self, source: Source, policy: TrustPolicy) -> None:
        path = self._path(source, policy.tenant)
        try:
            with self._locked(path.parent):
                there = self._read(source, policy.tenant)
                merged = policy if there is None else newest(there, policy)
                if merged != there:
                    write_atomically(path, merged.to_bytes(), mode=0o644, replace=True)
        except OSError as error:
            if self._kept:
                log.warning("trust_state_not_kept", folder=str(self._folder), reason=error.strerror)
            self._kept = False

    def _path(self, source: Source, tenant: str) -> Path:
        return self._folder / source / f"{tenant}.json"

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

# SPDX-License-Identifier: Apache-2.0
"""Secrets of Vault's KV engine, version 2: ``vault://<mount>/<path>#<field>``.

A value that was read stays in use while Vault is sealed or away.
"""

from __future__ import annotations

from typing import Any

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest

from artifacts.secrets.connection import VaultConnection
from artifacts.secrets.remembered import Remembered
from core.clock import Clock, SystemClock
from core.secrets.interface import Reference, Revealed
from core.secrets.local import no_secret
from core.secrets.settings import VaultSettings


class VaultSecrets:
    """Reads fields of secrets.

    Args:
        connection: To Vault.
        clock: For the age of what was read.
        fresh_s: Seconds a secret is used without asking again.
    """

    def __init__(self, connection: VaultConnection, clock: Clock, *, fresh_s: float) -> None:
        self._connection = connection
        self._read: Remembered[tuple[str, str], dict[str, Any]] = Remembered(clock, fresh_s=fresh_s)

    def read(self, reference: Reference) -> Revealed:
        mount, _, path = reference.path.partition("/")
        if not mount or not path or not reference.field:
            raise no_secret(reference, "expected vault://mount/path#field")
        try:
            fields = self._read.get((mount, path), lambda: self._ask(mount, path))
        except (InvalidPath, InvalidRequest):
            raise no_secret(reference, f"there is no secret {path!r} in the KV version 2 engine {mount!r}") from None
        value = fields.get(reference.field)
        if not isinstance(value, str):
            raise no_secret(reference, "the secret has no such field, or it is no text")
        return Revealed(value)

    def _ask(self, mount: str, path: str) -> dict[str, Any]:
        def ask(client: hvac.Client) -> dict[str, Any]:
            found = client.secrets.kv.v2.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)
            data: dict[str, Any] = found["data"]["data"]
            return data

        return self._connection.call(ask)


def open_provider(settings: VaultSettings) -> VaultSecrets:
    """The secrets of the Vault that the settings name; :mod:`core.secrets.resolving` finds it by this name.

    Raises:
        InitError: ``INIT_002`` if a setting is missing.
    """
    clock = SystemClock()
    return VaultSecrets(VaultConnection(settings, clock), clock, fresh_s=settings.fresh_seconds)

# SPDX-License-Identifier: Apache-2.0
"""Which implementation keeps the signing keys."""

from __future__ import annotations

from artifacts.keys.file import FileKeyProvider
from artifacts.keys.interface import KeyProvider
from core.clock import Clock
from registry_api.settings.registry import Settings


def open_keys(settings: Settings, clock: Clock) -> KeyProvider:
    """The keys that the settings name. With Vault, policies are also written where servers on this machine read them.

    Raises:
        InitError: ``INIT_002`` if how to reach Vault is not set.
    """
    if settings.keys.provider == "file":
        return FileKeyProvider(settings.keys_dir, clock)
    from artifacts.keys.vault import VaultKeyProvider  # only its users need hvac
    from artifacts.secrets.connection import VaultConnection

    return VaultKeyProvider(
        VaultConnection(settings.vault, clock),
        clock,
        transit_mount=settings.keys.transit_mount,
        kv_mount=settings.keys.kv_mount,
        prefix=settings.keys.prefix,
        mirror=settings.keys_dir / "trust",
    )

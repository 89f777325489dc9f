# SPDX-License-Identifier: Apache-2.0
"""Settings and connections to a Vault that a test runs."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from artifacts.secrets.connection import VaultConnection
from core.clock import Clock, SystemClock
from core.secrets.settings import VaultSettings


def vault_settings(address: str, token: str, **others: Any) -> VaultSettings:
    """The settings that reach it with a token, unless ``others`` say otherwise."""
    values: dict[str, Any] = {"address": address, "token": SecretStr(token), "timeout_seconds": 2}
    return VaultSettings(**(values | others))


def vault_connection(address: str, token: str, clock: Clock | None = None, **others: Any) -> VaultConnection:
    """A connection with those settings."""
    return VaultConnection(vault_settings(address, token, **others), clock or SystemClock())

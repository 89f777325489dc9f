# SPDX-License-Identifier: Apache-2.0
"""How a process becomes somebody to Vault: a token it was given, AppRole, or its Kubernetes service account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hvac

from core.errors import ErrorCode, InitError
from core.secrets.settings import VaultSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """How long a token lives."""

    seconds: float  # 0: for ever
    renewable: bool


def check_login(settings: VaultSettings) -> None:
    """Checks that what the chosen login needs is set.

    Raises:
        InitError: ``INIT_002``, naming the setting that is missing.
    """
    needed = {
        "ADDRESS": settings.address,
        **({"TOKEN": settings.token} if settings.auth == "token" else {}),
        **({"ROLE_ID": settings.role_id} if settings.auth == "approle" else {}),
        **({"KUBERNETES_ROLE": settings.kubernetes_role} if settings.auth == "kubernetes" else {}),
    }
    for name, value in needed.items():
        if not value:
            raise InitError(
                ErrorCode.SETTING_INVALID,
                f"FUROSHIKI_VAULT__{name}: not set; FUROSHIKI_VAULT__AUTH is {settings.auth!r}.",
            )


def log_in(client: hvac.Client, settings: VaultSettings) -> Lease:
    """Logs in; afterwards ``client.token`` is ours.

    Raises:
        InitError: ``INIT_002`` if the service account's token cannot be read.
        hvac.exceptions.VaultError: If Vault refuses or does not answer.
    """
    mount = settings.auth_mount or settings.auth
    if settings.auth == "token":
        assert settings.token is not None  # see check_login
        client.token = settings.token.get_secret_value()
        return _lease(client.auth.token.lookup_self()["data"], ttl="ttl")
    if settings.auth == "approle":
        secret_id = None if settings.secret_id is None else settings.secret_id.get_secret_value()
        answer = client.auth.approle.login(settings.role_id, secret_id=secret_id, mount_point=mount)
    else:
        answer = client.auth.kubernetes.login(settings.kubernetes_role, _service_account(settings), mount_point=mount)
    return _lease(answer["auth"], ttl="lease_duration")


def renew(client: hvac.Client) -> Lease:
    """Lengthens the life of the token in use.

    Raises:
        hvac.exceptions.VaultError: If Vault refuses or does not answer.
    """
    return _lease(client.auth.token.renew_self()["auth"], ttl="lease_duration")


def _lease(data: dict[str, Any], *, ttl: str) -> Lease:
    return Lease(seconds=float(data[ttl]), renewable=bool(data.get("renewable")))


def _service_account(settings: VaultSettings) -> str:
    try:
        return settings.kubernetes_token_file.read_text().strip()
    except OSError as error:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_VAULT__KUBERNETES_TOKEN_FILE: got {str(settings.kubernetes_token_file)!r}, which cannot be read "
            f"({error.strerror}).",
        ) from None

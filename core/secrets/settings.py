# SPDX-License-Identifier: Apache-2.0
"""How Vault is reached and who we are to it: the section ``FUROSHIKI_VAULT__*`` of every process's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_KUBERNETES_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultSettings(BaseModel):
    """One Vault or OpenBao. Its own values may be ``env://`` and ``file://`` references."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    address: str | None = None  # for example https://vault.example.com:8200; None: there is no Vault
    namespace: str | None = None  # of everything; None: the root namespace
    ca_file: Path | None = None  # PEM; None: the authorities that this machine trusts
    timeout_seconds: int = Field(default=5, gt=0)  # of one request
    auth: Literal["token", "approle", "kubernetes"] = "token"  # how this process logs in
    auth_mount: str | None = None  # where that login is mounted; None: at its own name
    token: SecretStr | None = None  # auth=token
    role_id: str | None = None  # auth=approle
    secret_id: SecretStr | None = None  # auth=approle; None: the role needs none
    kubernetes_role: str | None = None  # auth=kubernetes
    kubernetes_token_file: Path = _KUBERNETES_TOKEN  # auth=kubernetes; read again at each login
    fresh_seconds: float = Field(default=60.0, gt=0)  # a secret that was read is used without asking again

# SPDX-License-Identifier: Apache-2.0
"""What surrounds the registry in production, real and on loopback: PostgreSQL, Ceph, Redis, OpenBao, an OpenID provider.

What opens the object store and Redis lies in OpenBao, and the settings refer to it by ``vault://``; signing keys and the
keys of encryption at rest never leave OpenBao.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.components.oidc import AUDIENCE, CLIENT, Provider, oidc
from deploy.local.components.openbao import OpenBao, openbao
from deploy.local.components.postgres import PostgreSQL, postgres
from deploy.local.components.redis import RedisServer, redis
from deploy.local.components.rgw import ObjectStore, rgw

_DATABASE: Final = "furoshiki"
_USERS: Final = {"svc": {"groups": ["admins"], "tenant": "default"}}
_ROLES: Final = {"admins": ["tenant-admin", "platform-admin"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Components that run. They end with the context that started them."""

    database: PostgreSQL
    objects: ObjectStore
    redis: RedisServer
    vault: OpenBao
    provider: Provider
    settings: dict[str, str]  # of the registry, its worker and the inference service


@contextmanager
def platform(folder: Path, tell: Callable[[str], None]) -> Iterator[Platform]:
    """Starts everything in ``folder``.

    Args:
        folder: For data and logs; must exist.
        tell: Told each step in a few words.

    Raises:
        NotStarted: If a component does not start; its Debian or npm package may be missing.
    """
    with ExitStack() as running:
        database = running.enter_context(postgres(_home(folder, "postgresql", tell)))
        objects = running.enter_context(rgw(_home(folder, "ceph", tell)))
        cache = running.enter_context(redis(_home(folder, "redis", tell)))
        vault = running.enter_context(openbao(_home(folder, "openbao", tell)))
        provider = running.enter_context(oidc(_home(folder, "oidc", tell), users=_USERS))
        settings = {
            **_database_settings(database),
            **_object_settings(objects, vault),
            **_vault_settings(vault),
            **_oidc_settings(provider),
        }
        vault.call("POST", "secret/data/redis", {"data": {"url": cache.url}})
        settings["FUROSHIKI_REDIS__URL"] = "vault://secret/redis#url"
        yield Platform(
            database=database, objects=objects, redis=cache, vault=vault, provider=provider, settings=settings
        )


def _home(folder: Path, name: str, tell: Callable[[str], None]) -> Path:
    tell(f"starting {name}")
    home = folder / name
    home.mkdir()
    return home


def _database_settings(server: PostgreSQL) -> dict[str, str]:
    database = server.create(_DATABASE)
    return {"FUROSHIKI_DATABASE__URL": database.url, "FUROSHIKI_DATABASE__OWNER_URL": database.owner_url}


def _object_settings(objects: ObjectStore, vault: OpenBao) -> dict[str, str]:
    bucket = "furoshiki"
    vault.call("POST", "secret/data/objects", {"data": {"access": objects.access_key, "secret": objects.secret_key}})
    return {
        **objects.environment(bucket),
        "FUROSHIKI_STORE__S3__ACCESS_KEY": "vault://secret/objects#access",
        "FUROSHIKI_STORE__S3__SECRET_KEY": "vault://secret/objects#secret",
        "FUROSHIKI_STORE__ENCRYPTION": "on",
        "FUROSHIKI_STORE__KEYS": "vault",
    }


def _vault_settings(vault: OpenBao) -> dict[str, str]:
    return {
        "FUROSHIKI_VAULT__ADDRESS": vault.address,
        "FUROSHIKI_VAULT__TOKEN": vault.token,
        "FUROSHIKI_KEYS__PROVIDER": "vault",
    }


def _oidc_settings(provider: Provider) -> dict[str, str]:
    prefix = "FUROSHIKI_OIDC__ISSUERS__LOCAL__"
    return {
        prefix + "ISSUER": provider.issuer,
        prefix + "AUDIENCE": f"{AUDIENCE},{CLIENT}",
        prefix + "ROLES": json.dumps(_ROLES),
        prefix + "CLIENT_ID": CLIENT,
    }

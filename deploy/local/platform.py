# SPDX-License-Identifier: Apache-2.0
"""What surrounds the registry in production, real and on loopback: PostgreSQL, Ceph, Redis, OpenBao, an OpenID provider.

What opens the object store and Redis lies in OpenBao, and the settings refer to it by ``vault://``; signing keys and the
keys of encryption at rest never leave OpenBao.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifacts.encryption.head import MAGIC
from deploy.local.components.oidc import AUDIENCE, CLIENT, Provider, oidc
from deploy.local.components.openbao import OpenBao, openbao
from deploy.local.components.postgres import PostgreSQL, postgres
from deploy.local.components.redis import RedisServer, redis
from deploy.local.components.rgw import ObjectStore, rgw

_DATABASE: Final = "furoshiki"
_BUCKET: Final = "furoshiki"
_COUNTED: Final = "SELECT (SELECT count(*) FROM versions), (SELECT count(*) FROM audit_entries)"
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

    def contents(self) -> list[str]:
        """What each component holds, a line each."""
        versions, chain = self.database.sql(_COUNTED, database=_DATABASE).split("|")
        store = self.objects.opened(_BUCKET)
        paths = [found["path"] for page in store.list() for found in page]
        sealed = sum(
            bytes(store.get_range(path, start=0, length=len(MAGIC))) == MAGIC
            for path in paths
            if path.endswith("/head")
        )
        plain = sum("/sealed/" not in path for path in paths)
        keys = self.vault.call("LIST", "transit/keys")["data"]["keys"]
        return [
            f"PostgreSQL: {versions} versions, {chain} entries of signed history",
            f"Ceph:       {sealed} encrypted blobs, {plain} plain objects",
            f"OpenBao:    {', '.join(sorted(keys))}",
            f"Redis:      {self.redis.client.info('commandstats')['cmdstat_publish']['calls']} changes told",
        ]


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """Starts everything in ``folder``, which must exist.

    Raises:
        NotStarted: If a component does not start.
        NotInstalled: If PostgreSQL is missing.
        RuntimeError: If another component is missing, with the names of its packages.
    """
    with ExitStack() as running:
        database = running.enter_context(postgres(folder / "postgresql"))
        objects = running.enter_context(rgw(folder / "ceph"))
        cache = running.enter_context(redis(folder / "redis"))
        vault = running.enter_context(openbao(folder / "openbao"))
        provider = running.enter_context(oidc(folder, users=_USERS))
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


def _database_settings(server: PostgreSQL) -> dict[str, str]:
    database = server.create(_DATABASE)
    return {"FUROSHIKI_DATABASE__URL": database.url, "FUROSHIKI_DATABASE__OWNER_URL": database.owner_url}


def _object_settings(objects: ObjectStore, vault: OpenBao) -> dict[str, str]:
    objects.make_bucket(_BUCKET)
    vault.call("POST", "secret/data/objects", {"data": {"access": objects.access_key, "secret": objects.secret_key}})
    return {
        **objects.environment(_BUCKET),
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

# SPDX-License-Identifier: Apache-2.0
"""API keys. The secret of a key is in the answer to its creation and nowhere else, ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from furoshiki.api import API, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known about an API key once it exists."""

    id: str
    name: str
    tenant: str
    roles: tuple[str, ...]
    created_at: datetime
    created_by: str | None = None  # id of the key that asked for it; None for the first one
    expires_at: datetime | None = None  # None: does not expire
    last_used_at: datetime | None = None  # to the minute; None: not yet
    previous_until: datetime | None = None  # until when the secret before the last rotation works


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just created or rotated; ``key`` is shown this once and kept out of ``repr``."""

    id: str
    name: str
    tenant: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None  # None: does not expire
    previous_until: datetime | None = None  # until when the secret before the last rotation works
    key: str = field(repr=False)


class Keys(Resource[D]):
    """``client.keys``; needs the role ``tenant-admin``."""

    @operation
    def create(
        self, name: str, *, roles: Sequence[str], tenant: str | None = None, expires_at: datetime | None = None
    ) -> Steps[NewKey]:
        """Creates a key.

        Args:
            name: What people call it.
            roles: Of ``viewer``, ``user``, ``developer``, ``approver``, ``model-admin``, ``tenant-admin``,
                ``platform-admin``, ``service``.
            tenant: Another tenant, for a platform administrator; None is the caller's.
            expires_at: Aware time after which it is refused; None: never.
        """
        fields = {"name": name, "roles": list(roles), "tenant": tenant, "expires_at": expires_at}
        return (yield from self._api.fetch(json_request("POST", "/keys", fields), NewKey))

    @operation
    def rotate(self, key_id: str, *, overlap: int = 3600, tenant: str | None = None) -> Steps[NewKey]:
        """Gives a key a new secret.

        Args:
            key_id: Which.
            overlap: Seconds for which the secret it has works on; the one before that stops at once.
            tenant: Another tenant, for a platform administrator; None is the caller's.

        Raises:
            NotFound: ``KEY_001`` if there is no such key in force.
        """
        request = json_request("POST", path("keys", key_id, "rotate"), {"overlap_seconds": overlap})
        return (yield from self._api.fetch(replace(request, query=_of(tenant)), NewKey))

    @operation
    def revoke(self, key_id: str, *, tenant: str | None = None) -> Steps[None]:
        """Makes a key useless within seconds, for ever."""
        yield from self._api.send(Request(method="DELETE", path=API + path("keys", key_id), query=_of(tenant)))

    @listing
    def list(self, *, tenant: str | None = None) -> Items[Key]:
        """The keys in force of the caller's tenant, or of ``tenant`` for a platform administrator."""
        yield from self._api.pages("/keys", Key, _of(tenant))


def _of(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"tenant": tenant}

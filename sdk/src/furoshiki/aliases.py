# SPDX-License-Identifier: Apache-2.0
"""Aliases: movable names of versions, ``digits@champion``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import API, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name of a version."""

    model: str
    alias: str
    version: int
    moved_at: datetime
    moved_by: str  # name of the API key


class Aliases(Resource[D]):
    """``client.aliases``."""

    @listing
    def list(self, model: str) -> Items[Alias]:
        """The aliases of a model by name."""
        yield from self._api.pages(path("models", model, "aliases"), Alias)

    @operation
    def move(
        self, model: str, alias: str, version: int, *, expected: int | None, reason: str, override: bool = False
    ) -> Steps[Alias]:
        """Points an alias at a version.

        Args:
            model: The model.
            alias: Its alias; a name that is no number.
            version: Where to.
            expected: The version it points at now; None: there is no such alias yet.
            reason: Why, for the history.
            override: Although gates are not met; needs the role ``tenant-admin`` and gates that permit it.

        Raises:
            Conflict: ``STATE_001`` if it points elsewhere by now, ``GATE_001`` if gates are not met.
        """
        fields = {"version": version, "expected": expected, "reason": reason, "override": override}
        return (yield from self._api.fetch(json_request("PUT", path("models", model, "aliases", alias), fields), Alias))

    @operation
    def remove(self, model: str, alias: str, *, expected: int, reason: str) -> Steps[None]:
        """Removes an alias.

        Args:
            model: The model.
            alias: Its alias.
            expected: The version it points at now.
            reason: Why, for the history.

        Raises:
            NotFound: ``MODEL_001`` if there is none.
            Conflict: ``STATE_001`` if it points elsewhere by now.
        """
        query = {"expected": str(expected), "reason": reason}
        request = Request(method="DELETE", path=API + path("models", model, "aliases", alias), query=query)
        yield from self._api.send(request)

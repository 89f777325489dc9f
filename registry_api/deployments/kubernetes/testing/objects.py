# SPDX-License-Identifier: Apache-2.0
"""The objects of the API on loopback: versions, owners of fields, watches, deletion."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from registry_api.deployments.kubernetes.testing.merging import Object, Path, leaves, written
from registry_api.deployments.kubernetes.testing.storing import Refused, Stored, refuse_immutable, take, with_defaults

Place = tuple[str, str]  # plural, name


class Objects:
    """Everything in one namespace. Safe to use from several threads."""

    def __init__(self) -> None:
        self._stored: dict[Place, Stored] = {}
        self._history: list[tuple[int, str, str, Object]] = []  # version, type, plural, object
        self._oldest = 0  # of the versions that a watch may begin at
        self.version = 1
        self.changed = threading.Condition(threading.RLock())

    def apply(self, plural: str, body: Object, *, manager: str, force: bool, dry: bool) -> Object:
        """Server-side apply.

        Raises:
            Refused: 409 with the fields that other managers hold; 422 if a field changes that may not.
        """
        with self.changed:
            place = (plural, body["metadata"]["name"])
            before = self._stored.get(place)
            after = copy.deepcopy(before) if before else Stored(content={}, server=_born())
            given = leaves(with_defaults(body))
            if before is not None:
                refuse_immutable(plural, before.content, given)
            take(after, given, (manager, "Apply"), force=force)
            if not dry:
                self._keep(place, after, "MODIFIED" if before else "ADDED", before)
            return after.document()

    def edit(self, plural: str, name: str, *, manager: str, change: Callable[[Object], None]) -> None:
        """Somebody else writes: what he changes is his from now on."""
        with self.changed:
            stored = copy.deepcopy(self._stored[plural, name])
            document = written(copy.deepcopy(stored.content))
            change(document)
            after = leaves(document)
            mine = {path for path, value in after.items() if stored.content.get(path, after) != value}
            for paths in stored.owners.values():
                paths.difference_update(mine)
            stored.owners.setdefault((manager, "Update"), set()).update(mine)
            stored.content = after
            self._keep((plural, name), stored, "MODIFIED", self._stored[plural, name])

    def put(self, plural: str, document: Object) -> None:
        """A controller makes an object, whole."""
        with self.changed:
            status = document.pop("status", {})
            stored = Stored(content=leaves(document), server=_born(), status=status)
            self._keep((plural, document["metadata"]["name"]), stored, "ADDED", None)

    def set_status(self, plural: str, name: str, status: Object) -> None:
        """A controller says how far it is."""
        with self.changed:
            stored = self._stored[plural, name]
            stored.status = status
            self._keep((plural, name), stored, "MODIFIED", stored)

    def get(self, plural: str, name: str) -> Object | None:
        """An object as shown; None if there is none."""
        with self.changed:
            stored = self._stored.get((plural, name))
            return stored.document() if stored else None

    def every(self, plural: str, chosen: Callable[[Object], bool] = lambda _: True) -> list[Object]:
        """Every object of a collection that is chosen, by name."""
        with self.changed:
            found = [stored.document() for (of, _), stored in sorted(self._stored.items()) if of == plural]
            return [each for each in found if chosen(each)]

    def names(self) -> set[str]:
        """``PLURAL/NAME`` of everything there is."""
        with self.changed:
            return {f"{plural}/{name}" for plural, name in self._stored}

    def mark(self, plural: str, name: str) -> None:
        """Begins a deletion that waits, for what the object owns and for the finalizers it has."""
        with self.changed:
            stored = self._stored[plural, name]
            held = [*stored.document()["metadata"].get("finalizers", ()), "foregroundDeletion"]
            stored.server |= {"deletionTimestamp": _now(), "finalizers": held}
            self._keep((plural, name), stored, "MODIFIED", stored)

    def drop(self, plural: str, name: str) -> None:
        """An object is gone."""
        with self.changed:
            stored = self._stored.pop((plural, name))
            self._say("DELETED", plural, stored)

    def forget(self) -> None:
        """Old versions are compacted: a watch that begins before now is too old."""
        with self.changed:
            self._oldest = self.version
            self._history.clear()

    def since(self, plural: str, version: int) -> Iterator[tuple[int, str, Object]]:
        """What happened to a collection after a version.

        Raises:
            Refused: 410 if the version is too old.
        """
        with self.changed:
            if version < self._oldest:
                raise Refused(HTTPStatus.GONE, f"too old resource version: {version} ({self._oldest})")
            found = [(at, kind, each) for at, kind, of, each in self._history if of == plural and at > version]
        yield from found

    def oldest(self) -> int:
        """The oldest version that can still be read."""
        with self.changed:
            return self._oldest

    def _keep(self, place: Place, stored: Stored, kind: str, before: Stored | None) -> None:
        if before is not None and before is not stored and _spec(before) != _spec(stored):
            stored.server["generation"] = stored.server["generation"] + 1
        self._stored[place] = stored
        self._say(kind, place[0], stored)

    def _say(self, kind: str, plural: str, stored: Stored) -> None:
        self.version += 1
        stored.server["resourceVersion"] = str(self.version)
        self._history.append((self.version, kind, plural, stored.document()))
        self.changed.notify_all()


def _spec(stored: Stored) -> dict[Path, Any]:
    return {path: value for path, value in stored.content.items() if path[0] != "f:metadata"}


def _born() -> Object:
    return {"uid": str(uuid4()), "creationTimestamp": _now(), "generation": 1}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

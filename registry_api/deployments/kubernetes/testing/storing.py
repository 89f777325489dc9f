# SPDX-License-Identifier: Apache-2.0
"""One object of the API on loopback: its fields, who owns which, and what server-side apply makes of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from registry_api.deployments.kubernetes.testing.merging import Object, Path, shown, tree, written

_FIXED: Final = frozenset({("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")})
_IMMUTABLE: Final[Mapping[str, Path]] = {"deployments": ("f:spec", "f:selector")}


class Refused(Exception):
    """What becomes a ``Status``."""

    def __init__(
        self, code: int, message: str, *, details: Mapping[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}
        self.retry_after = retry_after  # seconds, as the header says


@dataclass
class Stored:
    """One object: the leaves of its content, who owns which, and what the server adds."""

    content: dict[Path, Any]
    owners: dict[tuple[str, str], set[Path]] = field(default_factory=dict)  # by manager and operation
    server: Object = field(default_factory=dict)  # of metadata
    status: Object = field(default_factory=dict)

    def document(self) -> Object:
        """As the API shows it."""
        found = written(self.content)
        managed = [
            {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": tree(sorted(paths))}
            for (manager, operation), paths in self.owners.items()
        ]
        found["metadata"] = found.get("metadata", {}) | copy.deepcopy(self.server) | {"managedFields": managed}
        return found | ({"status": copy.deepcopy(self.status)} if self.status else {})


def refuse_immutable(plural: str, before: Mapping[Path, Any], given: Mapping[Path, Any]) -> None:
    """Nobody may change what identifies an object's pods.

    Raises:
        Refused: 422 with the field.
    """
    fixed = _IMMUTABLE.get(plural)
    if fixed is None:
        return
    old, new = (
        {path: value for path, value in each.items() if path[: len(fixed)] == fixed} for each in (before, given)
    )
    if new and old != new:
        causes = [{"reason": "FieldValueInvalid", "message": "field is immutable", "field": shown(fixed)[1:]}]
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{shown(fixed)[1:]}: field is immutable", details={"causes": causes}
        )


def take(stored: Stored, given: dict[Path, Any], me: tuple[str, str], *, force: bool) -> None:
    """Gives ``me`` the fields it applies, and takes away those it applied before and nobody else has."""
    others = {owner: paths for owner, paths in stored.owners.items() if owner != me}
    fields = {path: value for path, value in given.items() if path not in _FIXED}
    held = [
        (owner, path)
        for owner, paths in others.items()
        for path in sorted(paths)
        if path in fields and stored.content.get(path) != fields[path]
    ]
    if held and not force:
        causes = [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{owner[0]}"', "field": shown(path)}
            for owner, path in held
        ]
        said = ", ".join(f'conflict with "{owner[0]}": {shown(path)}' for owner, path in held)
        raise Refused(
            HTTPStatus.CONFLICT, f"Apply failed with {len(held)} conflict: {said}", details={"causes": causes}
        )
    for owner, path in held:
        others[owner].discard(path)
    kept = set().union(*others.values()) if others else set()
    for path in stored.owners.get(me, set()) - fields.keys() - kept:
        stored.content.pop(path, None)
    stored.content = given | {path: value for path, value in stored.content.items() if path not in given}
    stored.owners[me] = set(fields)


def with_defaults(body: Object) -> Object:
    """The few defaults that matter to merging: protocols of ports, replicas of a Deployment are left to its controller."""
    filled: Object = json.loads(json.dumps(body))
    spec = filled.get("spec", {})
    containers = spec.get("template", {}).get("spec", {}).get("containers", [])
    ports = [*(spec.get("ports", []) if filled["kind"] == "Service" else [])]
    for each in (*ports, *(port for container in containers for port in container.get("ports", []))):
        each.setdefault("protocol", "TCP")
    return filled

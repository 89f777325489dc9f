# SPDX-License-Identifier: Apache-2.0
"""Server-side apply on plain dictionaries: paths, owners, conflicts.

A path is a tuple of ``f:NAME`` and ``k:JSON``. Lists whose items have keys are merged item by item; others are one value.
Source: "Server-Side Apply", and the list types of Kubernetes' OpenAPI document.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str, ...]
Object: TypeAlias = dict[str, Any]
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every path of an object that holds a value, and the value."""
    if isinstance(value, Mapping) and value:
        found: dict[Path, Any] = {}
        for key, below in value.items():
            found |= leaves(below, (*path, f"f:{key}"))
        return found
    keys = _keys_of(path, value)
    if keys:
        found = {}
        for item in value:
            key = "k:" + json.dumps({name: item[name] for name in keys}, separators=(",", ":"))
            found |= leaves(item, (*path, key))
        return found
    return {path: value}


def tree(paths: Iterable[Path]) -> Object:
    """Paths as ``FieldsV1``."""
    root: Object = {}
    for path in paths:
        at = root
        for step in path:
            at = at.setdefault(step, {})
    return root


def written(paths: Mapping[Path, Any]) -> Object:
    """The object that has these leaves."""
    root: Object = {}
    for path, value in paths.items():
        _put(root, path, value)
    return root


def shown(path: Path) -> str:
    """A path as conflicts name it."""
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)


def _keys_of(path: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not path or not isinstance(value[0], Mapping):
        return ()
    name = path[-1][2:]
    if name == "ports" and "f:ingress" not in path and "f:egress" not in path:
        return ("containerPort", "protocol") if "containerPort" in value[0] else ("port", "protocol")
    return _KEYS.get(name, ())


def _put(root: Object, path: Path, value: Any) -> None:
    at: Any = root
    for step, following in zip(path, (*path[1:], ""), strict=True):
        if step.startswith("f:"):
            fresh: Any = copy.deepcopy(value) if not following else [] if following.startswith("k:") else {}
            at = at.setdefault(step[2:], fresh)
            continue
        keys = json.loads(step[2:])
        item = next((each for each in at if all(each.get(name) == keys[name] for name in keys)), None)
        if item is None:
            item = dict(keys)
            at.append(item)
        at = item

# SPDX-License-Identifier: Apache-2.0
"""Fields of objects: which of them a field manager owns, and in which two objects differ.

Source of the format: "FieldsV1" of ``metadata.managedFields`` (sigs.k8s.io/structured-merge-diff): ``f:NAME`` a field,
``k:JSON`` the item of a list with these keys, ``v:JSON`` an item of a set, ``.`` the thing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from registry_api.deployments.kubernetes.kinds import thing
from registry_api.deployments.kubernetes.values import Difference, Document

_OF_THE_SERVER: Final = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"})
_MISSING: Final = object()


def owned(found: Document, manager: str) -> Document | None:
    """What ``manager`` applied of an object, fit to be applied again; None if it applied nothing."""
    for entry in found["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            kept = _kept(found, entry["fieldsV1"])
            named = {"name": found["metadata"]["name"], "namespace": found["metadata"]["namespace"]}
            metadata = kept.get("metadata", {}) | named
            return {"apiVersion": found["apiVersion"], "kind": found["kind"], **kept, "metadata": metadata}
    return None


def differences(found: Document, wanted: Document) -> list[Difference]:
    """The fields of two states of one object that differ, but for those the API server keeps itself."""
    what = thing(found)
    return [
        Difference(thing=what, field=path, wanted=_written(right), found=_written(left))
        for path, left, right in _compared(_without(found), _without(wanted), "")
    ]


def _kept(value: Any, fields: Mapping[str, Any]) -> Any:
    if not fields.keys() - {"."}:
        return value
    if isinstance(value, list):
        return [kept for item in value if (kept := _item(item, fields)) is not _MISSING]
    named = {key[2:]: below for key, below in fields.items() if key.startswith("f:")}
    return {key: _kept(value[key], below) for key, below in named.items() if key in value}


def _item(item: Any, fields: Mapping[str, Any]) -> Any:
    for key, below in fields.items():
        kind, _, text = key.partition(":")
        if kind == "v" and orjson.loads(text) == item:
            return item
        if kind == "k" and isinstance(item, Mapping):
            keys = orjson.loads(text)
            if all(item.get(name) == value for name, value in keys.items()):
                return {name: item[name] for name in keys if name in item} | _kept(item, below)
    return _MISSING


def _without(found: Document) -> dict[str, Any]:
    metadata = {key: value for key, value in found["metadata"].items() if key not in _OF_THE_SERVER}
    return {key: value for key, value in found.items() if key != "status"} | {"metadata": metadata}


def _compared(left: Any, right: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted(left.keys() | right.keys()):
            below = f"{path}.{key}" if path else key
            yield from _compared(left.get(key, _MISSING), right.get(key, _MISSING), below)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _compared(one, other, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def _written(value: Any) -> str:
    return "" if value is _MISSING else orjson.dumps(value).decode()

# SPDX-License-Identifier: Apache-2.0
"""What the fake knows of descriptions, cards, search and lineage."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from furoshiki.testing.exchange import Answer, Call, Problem, json_answer

Resource = dict[str, Any]


def tagged(resource: Resource) -> Answer:
    """A resource with its ETag."""
    answer = json_answer(resource)
    return Answer(headers={**answer.headers, "etag": _etag(resource)}, body=answer.body)


def described(
    call: Call, what: list[str], resource: Resource, cards: dict[tuple[str, int | None], Resource]
) -> Answer | None:
    """Answers what is asked of a model or a version; None if it is something else."""
    match call.method, what:
        case "GET", []:
            return tagged(resource)
        case "PATCH", []:
            check(resource, call)
            resource |= call.fields()
            return tagged(resource)
        case (("GET" | "PUT"), ["card"]):
            return _card(call, resource, cards)
        case "GET", ["lineage"]:
            return json_answer(lineage(resource))
    return None


def _card(call: Call, resource: Resource, cards: dict[tuple[str, int | None], Resource]) -> Answer:
    at = (resource["model"], resource["version"]) if "model" in resource else (resource["name"], None)
    empty = {"tenant": resource["tenant"], "model": at[0], "version": None, "revision": 0, "fields": {}, "body": ""}
    card = cards.get(at) or cards.get((at[0], None)) or empty
    if call.method == "GET":
        return tagged(card)
    check(card, call)
    revision = 1 if at not in cards else cards[at]["revision"] + 1
    cards[at] = {**card, "version": at[1], "revision": revision, **call.fields()}
    return tagged(cards[at])


def found(models: dict[str, Resource], versions: dict[str, list[Resource]], call: Call) -> list[Resource]:
    """The models that fit the query."""
    asked = call.query.get("q", "").lower().split()
    tag, stage = call.query.get("tag"), call.query.get("stage")

    def fits(model: Resource) -> bool:
        text = " ".join((model["name"], model["description"], *model["tags"])).lower().replace(":", " ").split()
        tags = {*model["tags"], *(each.partition(":")[0] for each in model["tags"])}
        stages = {version["stage"] for version in versions[model["name"]]}
        words = all(any(word.startswith(part) for word in text) for part in asked)
        return words and (tag is None or tag in tags) and (stage is None or stage in stages)

    order = call.query.get("order", "name")
    down = order.startswith("-")
    return sorted(filter(fits, models.values()), key=lambda model: model[order.lstrip("-")], reverse=down)


def lineage(version: Resource) -> Resource:
    """The graph of a version of which nothing was made."""
    name = f"{version['model']}@{version['version']}"
    node = {
        "id": f"version:{name}",
        "kind": "version",
        "name": name,
        "digest": version["digest"],
        "state": version["stage"],
        "created_at": version["created_at"],
    }
    return {"root": node["id"], "nodes": [node], "edges": [], "truncated": False}


def check(resource: Resource, call: Call) -> None:
    """Refuses a call whose ``If-Match`` names another state of the resource."""
    wanted = call.headers.get("if-match")
    if wanted is not None and wanted != _etag(resource):
        raise Problem(412, "STATE_003", f"If-Match names another state of the resource; it is {_etag(resource)} now.")


def _etag(resource: Resource) -> str:
    return f'"{hashlib.sha256(msgspec.json.encode(resource)).hexdigest()[:32]}"'

# SPDX-License-Identifier: Apache-2.0
"""What middlewares do to every route, told in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_ETAG: Final = {"description": "Digest of the answer; see `If-None-Match`.", "schema": {"type": "string"}}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETags the caller has; if the answer has one of them, it is 304 without a body.",
    "schema": {"type": "string"},
}


def with_etags(document: dict[str, Any], *, prefix: str) -> dict[str, Any]:
    """The document, in which every ``GET`` below ``prefix`` that answers JSON has an ETag and may answer 304."""
    for path, item in document["paths"].items():
        operation = item.get("get")
        answer = (operation or {}).get("responses", {}).get("200", {})
        tagged = "ETag" in answer.get("headers", {}) or "application/json" in answer.get("content", {})
        if operation is None or not path.startswith(f"{prefix}/") or not tagged:
            continue
        answer.setdefault("headers", {}).setdefault("ETag", _ETAG)
        operation["responses"].setdefault("304", {"description": "The caller has it already."})
        parameters = operation.setdefault("parameters", [])
        if not any(each["name"] == "If-None-Match" for each in parameters):
            parameters.append(_IF_NONE_MATCH)
    return document

# SPDX-License-Identifier: Apache-2.0
"""Gates: what a version needs to enter a stage or get an alias, the evidence that meets them, and how far a version is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from furoshiki.api import get_request, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGates:
    """What one target asks for."""

    target: str  # "PRODUCTION", "@champion"
    gates: Mapping[str, Any]  # as the API documents them


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmetGate:
    """A gate that is not met."""

    gate: str
    message: str  # what is wrong and how to meet it


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a version could move now."""

    model: str
    version: int
    target: str
    ready: bool
    state: str  # digest of everything an approval is given for
    approvals: int  # that count now
    unmet: tuple[UnmetGate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One document about a version."""

    id: int
    model: str
    version: int
    kind: str  # "parity", "latency", "sbom", "evaluation"
    digest: str
    content: Mapping[str, Any]
    signature: str  # Sigstore bundle by the tenant's key
    author: str
    author_key: str
    at: datetime


class Gates(Resource[D]):
    """``client.gates``."""

    @operation
    def all(self) -> Steps[tuple[TargetGates, ...]]:
        """The gates of every stage and alias that has some."""
        return (yield from self._api.fetch(get_request("/gates"), tuple[TargetGates, ...]))

    @operation
    def get(self, target: str) -> Steps[TargetGates]:
        """The gates of a stage, or of an alias such as ``@champion``."""
        return (yield from self._api.fetch(get_request(path("gates", target)), TargetGates))

    @operation
    def put(self, target: str, gates: Mapping[str, Any]) -> Steps[TargetGates]:
        """Replaces the gates of a stage or alias.

        Raises:
            InvalidRequest: ``VALID_002`` if a gate is unknown or malformed.
        """
        return (yield from self._api.fetch(json_request("PUT", path("gates", target), dict(gates)), TargetGates))

    @operation
    def readiness(self, model: str, version: int, target: str = "PRODUCTION") -> Steps[Readiness]:
        """What a version lacks to move there."""
        request = get_request(path("models", model, "versions", version, "readiness"), {"target": target})
        return (yield from self._api.fetch(request, Readiness))

    @operation
    def add_evidence(self, model: str, version: int, kind: str, content: Mapping[str, Any]) -> Steps[Evidence]:
        """Adds a document; the newest of its kind counts.

        Args:
            model: The model.
            version: Its version.
            kind: ``parity``, ``latency``, ``sbom`` or ``evaluation``.
            content: A JSON object with what its kind needs.

        Raises:
            InvalidRequest: ``VALID_002`` if it lacks that.
        """
        fields = {"kind": kind, "content": dict(content)}
        request = json_request("POST", path("models", model, "versions", version, "evidence"), fields)
        return (yield from self._api.fetch(request, Evidence))

    @listing
    def evidence(self, model: str, version: int) -> Items[Evidence]:
        """The documents about a version, newest first."""
        yield from self._api.pages(path("models", model, "versions", version, "evidence"), Evidence)

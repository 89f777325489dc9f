# SPDX-License-Identifier: Apache-2.0
"""Every route of the application, and what it declares about who may call it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from registry_api.http.access import Action
from registry_api.http.auth import Guard, Public

# Made by the framework: the interface's own description. It shows nothing of any tenant.
DOCUMENTATION = ("/api/v1/openapi.json", "/api/v1/docs")


@dataclass(frozen=True, order=True, kw_only=True)
class Route:
    """One method of one path."""

    path: str
    method: str
    actions: frozenset[Action]
    public: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def action(self) -> Action:
        """The one it declares."""
        (action,) = self.actions
        return action


def routes_of(app: FastAPI) -> list[Route]:
    """All of them, sorted; those that are no API routes count as declaring nothing."""
    return sorted(
        Route(
            path=route.path,
            method=method,
            actions=frozenset(guard.action for guard in dependencies if isinstance(guard, Guard)),
            public=route.path in DOCUMENTATION or any(isinstance(mark, Public) for mark in dependencies),
        )
        for route in _walk(app.routes)
        for dependencies in [list(_dependencies(getattr(route, "dependant", None)))]
        for method in sorted(route.methods - {"HEAD"})
    )


def _walk(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        if hasattr(route, "effective_candidates"):  # an included router
            yield from _walk(route.effective_candidates())
            yield from _walk(route.effective_low_priority_routes())
        else:
            yield route


def _dependencies(dependant: Any) -> Iterator[Any]:
    for dependency in dependant.dependencies if dependant is not None else ():
        yield dependency.call
        yield from _dependencies(dependency)

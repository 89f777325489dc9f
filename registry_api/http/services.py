# SPDX-License-Identifier: Apache-2.0
"""How an endpoint gets its service without a global: the composition root fills one container, routes ask it by type.

Models: TypeAlias = Annotated[ModelService, provided(ModelService)]

@router.get("/models")
async def list_models(models: Models) -> ...: ...
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from fastapi import Depends, Request

T = TypeVar("T")


class Services:
    """One instance per type. Filled at start, never changed afterwards."""

    def __init__(self) -> None:
        self._instances: dict[type, object] = {}

    def add(self, kind: type[T], instance: T) -> None:
        """Registers the instance that answers for ``kind`` (a class or a Protocol).

        Raises:
            ValueError: If ``kind`` already has an instance.
        """
        if kind in self._instances:
            raise ValueError(f"{kind.__name__} is registered already")
        self._instances[kind] = instance

    def get(self, kind: type[T]) -> T:
        """The instance registered for ``kind``.

        Raises:
            LookupError: If there is none.
        """
        if kind not in self._instances:
            raise LookupError(f"{kind.__name__} is not registered; add it in registry_api/bootstrap/platform.py")
        return cast(T, self._instances[kind])


def services_of(request: Request) -> Services:
    """The container of the application that serves ``request``."""
    services: Services = request.app.state.services
    return services


def provided(kind: type[Any]) -> Any:
    """A FastAPI dependency that gives the instance registered for ``kind``; for use inside ``Annotated``."""

    def resolve(request: Request) -> object:
        return services_of(request).get(kind)

    return Depends(resolve)

# SPDX-License-Identifier: Apache-2.0
"""Resources: one class per kind of thing, written once and typed exactly for both clients.

A method decorated with :func:`operation` is a generator of steps. On a ``Client`` it returns its value; on an
``AsyncClient`` it returns an awaitable of it. A method decorated with :func:`listing` is an iterator or an async
iterator. Inside another operation it is called as ``yield from Models.get.steps(self, ...)``.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from furoshiki.api import Api
from furoshiki.steps import Items, Steps
from furoshiki.transport import AsyncTransport, SyncTransport

D = TypeVar("D", bound=SyncTransport | AsyncTransport)
P = ParamSpec("P")
T = TypeVar("T")


class Resource(Generic[D]):
    """Base of all resources.

    Args:
        transport: Runs the steps.
        api: What the requests share.
    """

    def __init__(self, transport: D, api: Api) -> None:
        self._transport: D = transport
        self._api = api


class Operation(Generic[P, T]):
    """A method written as steps: blocking on a sync client, awaitable on an async one."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Resource[SyncTransport], kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Resource[AsyncTransport], kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self

        @functools.wraps(self.steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return owner._transport.run(self.steps(owner, *args, **kwargs))

        return call


class Listing(Generic[P, T]):
    """A method written as steps and items: an iterator on a sync client, an async iterator on an async one."""

    def __init__(self, items: Callable[Concatenate[Any, P], Items[T]]) -> None:
        self.items = items
        self.__doc__ = items.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Resource[SyncTransport], kind: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: Resource[AsyncTransport], kind: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self

        @functools.wraps(self.items)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return owner._transport.iterate(self.items(owner, *args, **kwargs))

        return call


def operation(steps: Callable[Concatenate[Any, P], Steps[T]]) -> Operation[P, T]:
    """Makes a method of a generator of steps."""
    return Operation(steps)


def listing(items: Callable[Concatenate[Any, P], Items[T]]) -> Listing[P, T]:
    """Makes an iterating method of a generator of steps and items."""
    return Listing(items)

# SPDX-License-Identifier: Apache-2.0
"""Runs steps: with ``httpx.Client`` in the calling thread, or with ``httpx.AsyncClient`` in the event loop.

The two classes differ only in their ``await``s; what a step means is decided in :mod:`furoshiki.steps`. Redirects are
not followed: a key goes to the configured service or nowhere. Bodies are streamed, and bounded where they are held in
memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final, TypeVar

import httpx

from furoshiki.bodies import Receiver, arguments, failures, file_chunks
from furoshiki.retry import Clock
from furoshiki.steps import FileBody, Item, Items, Pause, Reply, Request, Step, Steps, Together

T = TypeVar("T")

LOOPBACK: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")  # never through a proxy of the environment


class SyncTransport:
    """Runs steps in the calling thread. Safe to share between threads."""

    def __init__(self, http: httpx.Client, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    def run(self, steps: Steps[T]) -> T:
        """Runs a call to its result."""
        result: list[T] = list(self.iterate(_result_of(steps)))
        return result[0]

    def iterate(self, items: Items[T]) -> Iterator[T]:
        """Runs an iterator's steps as its values are asked for."""
        try:
            step = next(items)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = next(items)
                else:
                    step = self._attempt(items, step)()
        except StopIteration:
            return
        finally:
            items.close()

    def close(self) -> None:
        """Closes the connections; may be called twice."""
        self._http.close()

    def _attempt(self, items: Items[T], step: Step) -> Callable[[], Step | Item[T]]:
        """Does one step; returns how to tell the call what came of it."""
        try:
            return partial(items.send, self._perform(step))
        except Exception as error:
            return partial(items.throw, error)

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Request):
            return self._exchange(step)
        if isinstance(step, Pause):
            return self._clock.sleep(step.seconds)
        if isinstance(step, Together):
            return self._together(step)
        return step.function()

    def _together(self, step: Together[T]) -> list[T]:
        with ThreadPoolExecutor(max_workers=step.at_once, thread_name_prefix="furoshiki") as threads:
            running = [threads.submit(lambda call=call: self.run(call())) for call in step.calls]  # type: ignore[misc]
            try:
                ended, _ = wait(running, return_when=FIRST_EXCEPTION)
                for failed in (each for each in ended if each.exception() is not None):
                    failed.result()
                return [each.result() for each in running]
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def _exchange(self, request: Request) -> Reply:
        body = request.body
        content = file_chunks(body) if isinstance(body, FileBody) else body
        with failures(request), self._http.stream(**arguments(request, content, self._http.timeout)) as response:
            receiver = Receiver(request, response)
            for chunk in response.iter_bytes():
                receiver.write(chunk)
            return receiver.reply()


class AsyncTransport:
    """Runs steps in the event loop; blocking work goes to a thread."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def run(self, steps: Steps[T]) -> T:
        """Runs a call to its result."""
        result = [value async for value in self.iterate(_result_of(steps))]
        return result[0]

    async def iterate(self, items: Items[T]) -> AsyncIterator[T]:
        """Runs an iterator's steps as its values are asked for."""
        try:
            step = next(items)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = next(items)
                else:
                    step = (await self._attempt(items, step))()
        except StopIteration:
            return
        finally:
            items.close()

    async def close(self) -> None:
        """Closes the connections; may be called twice."""
        await self._http.aclose()

    async def _attempt(self, items: Items[T], step: Step) -> Callable[[], Step | Item[T]]:
        """Does one step; returns how to tell the call what came of it."""
        try:
            return partial(items.send, await self._perform(step))
        except Exception as error:
            return partial(items.throw, error)

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Request):
            return await self._exchange(step)
        if isinstance(step, Pause):
            return await self._clock.asleep(step.seconds)
        if isinstance(step, Together):
            return await self._together(step)
        return await asyncio.to_thread(step.function)

    async def _together(self, step: Together[T]) -> list[T]:
        turn = asyncio.Semaphore(step.at_once)

        async def one(call: Callable[[], Steps[T]]) -> T:
            async with turn:
                return await self.run(call())

        running = [asyncio.ensure_future(one(call)) for call in step.calls]
        try:
            return await asyncio.gather(*running)
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _exchange(self, request: Request) -> Reply:
        body = request.body
        content = _in_thread(file_chunks(body)) if isinstance(body, FileBody) else body
        with failures(request):
            async with self._http.stream(**arguments(request, content, self._http.timeout)) as response:
                receiver = Receiver(request, response)
                async for chunk in response.aiter_bytes():
                    receiver.write(chunk)
                return receiver.reply()


def _result_of(steps: Steps[T]) -> Items[T]:
    value = yield from steps
    yield Item(value)


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Takes each chunk in a worker thread, one at a time."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk

# SPDX-License-Identifier: Apache-2.0
"""The fake as a transport of either client: routing, credentials, request ids, and the failures it is told to have."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import httpx
import msgspec

from furoshiki.tensors import Array
from furoshiki.testing.clock import ManualClock
from furoshiki.testing.custody import FakeCustody
from furoshiki.testing.exchange import Answer, Call, Problem
from furoshiki.testing.inference import FakeInference
from furoshiki.testing.operations import FakeOperations
from furoshiki.testing.registry import FakeRegistry

API_KEY: Final = "furo_test_0123456789abcdef"


class FakeService(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A registry and an inference service in memory.

    ``calls`` lists every call that arrived, failed ones included.

    Args:
        tenant: Whose registry it is.
        page_size: Items per page where a call does not say.
    """

    def __init__(self, *, tenant: str = "acme", page_size: int = 50) -> None:
        self.clock = ManualClock()
        self.registry = FakeRegistry(tenant, self.clock)
        self.operations = FakeOperations(self.registry)
        self.custody = FakeCustody(self.registry)
        self.inference = FakeInference()
        self.calls: list[Call] = []
        self._page_size = page_size
        self._answers: dict[tuple[str | None, str, tuple[str, ...]], Answer] = {}
        self._failures: list[Callable[[], Answer]] = []

    def serve_model(
        self,
        name: str,
        function: Callable[[Mapping[str, Array]], Mapping[str, Array]],
        *,
        inputs: Mapping[str, tuple[str, Sequence[int]]],
    ) -> None:
        """Lets ``function`` stand for a model: arrays by input name in, arrays by output name out.

        Args:
            name: The model.
            function: What it computes.
            inputs: Datatype and shape of every input; -1 is a dimension of any size.
        """
        self.inference.add(name, function, inputs)

    def fail_next(
        self, status: int, code: str, *, message: str = "As told.", retry_after: int | None = None, times: int = 1
    ) -> None:
        """Answers the next ``times`` calls with an error instead."""
        problem = Problem(status, code, message, retry_after=retry_after)
        self._failures += [lambda: _problem(problem, "told", oip=False)] * times

    def cut_next(self, *, times: int = 1) -> None:
        """Cuts the connection of the next ``times`` calls after the request was sent. Not over loopback."""

        def cut() -> Answer:
            raise httpx.ReadError("connection cut, as told")

        self._failures += [cut] * times

    def answer(self, call: Call) -> Answer:
        """Answers one call."""
        self.calls.append(call)
        request_id = call.headers.get("x-request-id") or uuid.uuid4().hex
        if self._failures:
            answer = self._failures.pop(0)()
        else:
            try:
                answer = self._once(call)
            except Problem as problem:
                answer = _problem(problem, request_id, oip=call.segments[0] == "v2")
        return Answer(status=answer.status, headers={**answer.headers, "x-request-id": request_id}, body=answer.body)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request, await request.aread())

    def _respond(self, request: httpx.Request, body: bytes) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        query = {"limit": str(self._page_size), **dict(request.url.params)}
        call = Call(
            method=request.method,
            segments=tuple(unquote(part) for part in path.split("/")[1:]),
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        answer = self.answer(call)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def _once(self, call: Call) -> Answer:
        """A write that was answered before under its key gets that answer again."""
        key = (call.headers.get("idempotency-key"), call.method, call.segments)
        if key[0] is None:
            return self._route(call)
        if key not in self._answers:
            self._answers[key] = self._route(call)
        return self._answers[key]

    def _route(self, call: Call) -> Answer:
        if call.segments == ("v2", "health", "ready"):
            return self.inference.handle(call)
        key = call.headers.get("x-api-key")
        if key is None:
            raise Problem(401, "AUTH_001", "This route needs an API key.")
        if key != API_KEY:
            raise Problem(401, "AUTH_002", "The API key is unknown, expired or revoked.")
        if call.segments[0] == "v2":
            return self.inference.handle(call)
        for part in (self.custody, self.registry, self.operations):
            answer = part.handle(call)
            if answer is not None:
                return answer
        raise Problem(404, "VALID_006", f"There is no route {'/' + '/'.join(call.segments)!r}.")


def _problem(problem: Problem, request_id: str, *, oip: bool) -> Answer:
    headers = {"content-type": "application/json"}
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    if oip:
        headers["x-furoshiki-error"] = problem.code
        return Answer(status=problem.status, headers=headers, body=msgspec.json.encode({"error": problem.message}))
    error = {
        "code": problem.code,
        "message": problem.message,
        "retryable": problem.status in (429, 503, 504),
        "request_id": request_id,
        "details": problem.details,
    }
    return Answer(status=problem.status, headers=headers, body=msgspec.json.encode({"error": error}))

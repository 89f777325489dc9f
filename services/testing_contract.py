# SPDX-License-Identifier: Apache-2.0
"""What every protocol edge does with the same request; the requests are in :mod:`services.testing_questions`.

``EdgeContract`` is subclassed once per edge. A subclass says how its protocol writes a :class:`Question` and reads an
:class:`Answer`, and nothing else: what a request means, which error it gets and what an error may tell is the same
everywhere. A question that a protocol cannot even write raises :class:`CannotAsk`; the subclass lists it in ``left_out``.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest
import pytest_asyncio

from core.clock import SystemClock
from core.deprecation import Notice
from core.errors import ErrorCode
from core.tensors import Array, DType, dtype_from_oip
from runners.interface import StopSignal
from runners.testing import FakeRunner
from services.edge.auth import OpenAuth, RememberedAuth
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.inference.app import Parts
from services.testing import DIGEST, MODEL, TENANT, VERSION, parts
from services.testing_questions import (
    CASES,
    DATA,
    DECLARATIONS,
    OK,
    ROWS,
    Answer,
    CannotAsk,
    Client,
    EchoRunner,
    Keys,
    Question,
    Tensor,
    with_input,
)

__all__ = [
    "DATA",
    "OK",
    "ROWS",
    "Answer",
    "CannotAsk",
    "Client",
    "DeclaringEdgeContract",
    "EchoRunner",
    "EdgeContract",
    "Question",
    "Tensor",
]


class EdgeContract(ABC):
    """The suite. Subclass it and provide :meth:`connect`."""

    left_out: ClassVar[frozenset[str]] = frozenset()  # cases and datatypes the protocol cannot write

    @abstractmethod
    def connect(self, made: Parts) -> AbstractAsyncContextManager[Client]:
        """Serves ``made`` over the protocol and yields a client; closes both in the end."""

    @pytest.fixture
    def runner(self) -> FakeRunner:
        return FakeRunner(width=2)

    @pytest_asyncio.fixture
    async def asker(self, runner: FakeRunner) -> AsyncIterator[Client]:
        async with self.connect(parts(runner)) as client:
            yield client

    async def test_result(self, asker: Client) -> None:
        """A request gets what the model computes, row by row, with the version and the verified digest of the model."""
        for version in (None, VERSION):
            answer = await asker.ask(Question(version=version))
            assert answer.code == OK, answer.text
            assert {name: array.tolist() for name, array in answer.outputs.items()} == {
                "y": (2 * np.array(ROWS) + 1).tolist()
            }
            assert (answer.version, answer.digest) == (VERSION, DIGEST)

    async def test_a_deprecated_version_says_so(self) -> None:
        """Since when, and when it may end; of a version that is not deprecated nothing is said."""
        notice = Notice(since=datetime(2026, 1, 1, tzinfo=UTC), sunset=datetime(2026, 7, 1, tzinfo=UTC))
        for told in (None, notice):
            async with self.connect(parts(FakeRunner(width=2), notice=told)) as client:
                answer = await client.ask(Question())
            says = () if told is None or "deprecation" in self.left_out else told.metadata
            assert (answer.code, dict(answer.told)) == (OK, dict(says))

    async def test_chosen_outputs(self, asker: Client) -> None:
        """Only what was asked for comes back."""
        assert list((await asker.ask(Question(outputs=("y",)))).outputs) == ["y"]

    async def test_request_id_is_echoed(self, asker: Client) -> None:
        """A legal request id comes back; instead of an illegal one a fresh one is made."""
        legal = await asker.ask(Question(request_id="trace-1:a.b_c"))
        illegal = await asker.ask(Question(request_id="a b"))
        assert legal.request_id == "trace-1:a.b_c"
        assert len(illegal.request_id) == 32

    @pytest.mark.parametrize("case", CASES)
    async def test_errors(self, asker: Client, case: str) -> None:
        """Each wrong request gets its stable code, and words that tell nothing of our insides; the next is answered."""
        await self.check(asker, case, *CASES[case])

    async def check(self, asker: Client, case: str, question: Question, code: ErrorCode) -> None:
        if case in self.left_out:
            with pytest.raises(CannotAsk):
                await asker.ask(question)
            return
        answer = await asker.ask(question)
        assert (answer.code, bool(answer.outputs)) == (code, False), answer.text
        assert not any(word in answer.text for word in ("Traceback", "/services/", "Error:"))
        assert (await asker.ask(Question())).code == OK

    @pytest.mark.parametrize("datatype", DATA)
    async def test_every_datatype(self, datatype: str) -> None:
        """A tensor of each datatype goes in and comes out as it was, its extreme values included."""
        dtype = dtype_from_oip(datatype)
        question = Question(inputs=with_input(datatype=datatype, data=DATA[datatype]))
        async with self.connect(parts(EchoRunner(dtype))) as client:
            if datatype in self.left_out:
                with pytest.raises(CannotAsk):
                    await client.ask(question)
                return
            answer = await client.ask(question)
        assert answer.code == OK, answer.text
        np.testing.assert_array_equal(
            answer.outputs["y"].astype(dtype.numpy), np.array(DATA[datatype], dtype=dtype.numpy)
        )

    async def test_credentials(self, runner: FakeRunner) -> None:
        """No key AUTH_001, a wrong key AUTH_002; another tenant's key is told that there is no such model."""
        async with self.connect(parts(runner, authenticator=RememberedAuth(Keys(), clock=SystemClock()))) as client:
            answers = {key: await client.ask(Question(credential=key)) for key in (None, "wrong-key", "key-acme")}
            rival = await client.ask(Question(credential="key-rival"))
        assert {key: answer.code for key, answer in answers.items()} == {
            None: ErrorCode.AUTH_REQUIRED,
            "wrong-key": ErrorCode.AUTH_INVALID,
            "key-acme": OK,
        }
        assert rival.code == ErrorCode.MODEL_NOT_FOUND
        assert TENANT not in rival.text

    async def test_a_passed_deadline(self, runner: FakeRunner) -> None:
        """A request whose time is over before the model is free gets TIMEOUT_001."""
        runner.gate.clear()
        try:
            async with self.connect(parts(runner)) as client:
                answer = await client.ask(Question(timeout_us=1000))
                assert answer.code == ErrorCode.TIMEOUT
                runner.gate.set()
        finally:
            runner.gate.set()

    async def test_a_request_waits_for_the_model(self, runner: FakeRunner) -> None:
        """A request with time to spare gets its result when the model is free; its priority is accepted."""
        runner.gate.clear()
        async with self.connect(parts(runner)) as client:
            waiting = asyncio.ensure_future(client.ask(Question(timeout_us=30_000_000, priority=1)))
            while not runner.batches:  # noqa: ASYNC110 -- the runner counts in a thread
                await asyncio.sleep(0)
            runner.gate.set()
            assert (await waiting).code == OK

    async def test_an_unloaded_model(self, runner: FakeRunner) -> None:
        """A model that was unloaded gets MODEL_002 until it is loaded again."""
        made = parts(runner, control=True)
        owner = Principal(tenant=TENANT, key_id="k")
        async with self.connect(made) as client:
            await made.plane.unload(owner, MODEL)
            unloaded = await client.ask(Question())
            runner.closed = False
            await made.plane.load(owner, MODEL)
            assert ((await client.ask(Question())).code, unloaded.code) == (OK, ErrorCode.MODEL_NOT_READY)

    async def test_a_result_over_the_limit(self, runner: FakeRunner) -> None:
        """A result larger than the limit gets VALID_003, which names both sizes."""
        async with self.connect(parts(runner, limits=EdgeLimits(output_bytes=15))) as client:
            small = await client.ask(Question(inputs=with_input(data=((1.0, 2.0),))))
            large = await client.ask(Question())
        assert (small.code, large.code) == (OK, ErrorCode.TOO_LARGE)
        assert "has 16 bytes; the limit is 15" in large.text

    async def test_a_large_result_is_whole(self) -> None:
        """A result beyond a megabyte, which is encoded beside the event loop, is what the model computed."""
        rows = np.arange(300_000, dtype=np.float32).reshape(-1, 2)

        class Verbose(FakeRunner):
            def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:  # noqa: ARG002
                return {"y": rows}

        async with self.connect(parts(Verbose(width=2, batched=False))) as client:
            answer = await client.ask(Question())
        assert answer.code == OK, answer.text
        np.testing.assert_array_equal(answer.outputs["y"], rows)

    async def test_too_many_strings(self) -> None:
        """BYTES elements have a limit of their own, whatever the shape says; at the limit they are decoded."""
        async with self.connect(parts(EchoRunner(DType.BYTES), limits=EdgeLimits(bytes_elements=4))) as client:
            answers = [
                await client.ask(Question(inputs=with_input(datatype="BYTES", data=data)))
                for data in (((b"a", b"b"),) * 2, ((b"a",),) * 5, ((b"",) * 2000,))
            ]
        assert [answer.code for answer in answers] == [OK, ErrorCode.TOO_LARGE, ErrorCode.TOO_LARGE]

    async def test_unexpected_exceptions_say_nothing(self, runner: FakeRunner) -> None:
        """An exception nobody foresaw becomes one fixed sentence with a request id."""

        class Broken(OpenAuth):
            async def authenticate(self, headers: object) -> Principal:  # noqa: ARG002
                raise RuntimeError("secret detail")

            def known(self, headers: object) -> None:  # noqa: ARG002
                return None

        async with self.connect(parts(runner, authenticator=Broken(TENANT))) as client:
            answer = await client.ask(Question())
        assert answer.code == ErrorCode.INTERNAL
        assert "secret" not in answer.text
        assert answer.request_id


class DeclaringEdgeContract(EdgeContract):
    """For protocols whose requests declare datatypes and shapes."""

    @pytest.mark.parametrize("case", DECLARATIONS)
    async def test_declarations(self, asker: Client, case: str) -> None:
        """A declaration that is not the model's, or of nothing there is, gets its stable code."""
        await self.check(asker, case, *DECLARATIONS[case])

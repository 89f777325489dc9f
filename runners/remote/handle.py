# SPDX-License-Identifier: Apache-2.0
"""A model in another process, with the face of one in this process.

Guarantees. Every request that ``submit`` accepted ends: with the runner's answer; with ``MODEL_002`` as soon as the
connection ends; or with ``TIMEOUT_001`` at its deadline, whatever the runner does. Requests beyond the limits of the
connection get ``QUEUE_001`` at once, and while there is no runner that gives signs of life all get ``MODEL_002`` at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest, Unavailable
from core.inference import InferenceRequest
from core.telemetry.logs import get_logger
from core.tensors import Array, Shape, TensorSpec
from runners.batching.waiting import wait_for
from runners.batching.work import Done, Outcome
from runners.cache import LoadedModel
from runners.remote.channel import Channel
from runners.remote.endpoint import connect
from runners.remote.errors import revived
from runners.remote.framing import CANCEL, FAILURE, REPLY, REQUEST, ProtocolError, TooLarge
from runners.remote.limits import WireLimits
from runners.remote.link import Dial, Link, read
from runners.remote.messages import Request, decode_failure, decode_reply, encode
from runners.remote.pending import Pending, Waiting
from runners.remote.tensors import pack, unpack
from runners.statistics import ModelStatistics

_GRACE_S: Final = 0.02  # the runner's own answer about a deadline comes first, if it comes

log = get_logger(__name__)


class RemoteHandle:
    """The model that a runner serves; see :func:`attach`.

    Args:
        dial: Connects to the runner; see :class:`runners.remote.link.Link`.
        limits: Bounds of the connection.
        max_wait_s: Seconds from arrival to result when the caller set no deadline.
    """

    def __init__(self, dial: Dial, *, limits: WireLimits, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._loop = asyncio.get_running_loop()
        self._link = Link(
            dial,
            limits=limits,
            on_frame=self._received,
            on_tick=self._expire_late,
            on_lost=self._fail_all,
            on_found=self._found,
        )
        self._on_ready: Callable[[], None] | None = None
        self._pending = Pending(limits)
        self._numbers = count(1)
        self._closed = False

    async def start(self, within_s: float) -> LoadedModel:
        """Waits for the runner and describes its model; the handle is of use from then on.

        Raises:
            InitError: ``INIT_001`` if it is not there in time.
        """
        offer = await self._link.first(within_s)
        self.runner = offer.runner
        self.signature = offer.signature
        self._label = f"{offer.tenant}/{offer.model}@{offer.version}"
        return LoadedModel(
            tenant=offer.tenant,
            model=offer.model,
            version=offer.version,
            digest=offer.digest,
            key_id=offer.key_id,
            size=offer.size,
            covered=frozenset(offer.covered),
            handle=self,
            output_dtypes={spec.name: spec.dtype for spec in self.signature.outputs},
        )

    @property
    def ready(self) -> bool:
        return not self._closed and self._link.channel is not None and not self._link.silent

    @property
    def silent(self) -> bool:
        """Whether the runner is there and hangs."""
        return self._link.channel is not None and self._link.silent

    def when_ready(self, call: Callable[[], None]) -> None:
        """Sets what is called each time the runner is there again, or answers again."""
        self._on_ready = call

    def submit(self, request: InferenceRequest, done: Done) -> Waiting:
        """Sends one request; see :meth:`runners.handle.RunnerHandle.submit`.

        Returns:
            The outputs the request names, or all.

        Raises:
            Unavailable: ``MODEL_002`` if there is no runner now.
            Overloaded: ``QUEUE_001`` if too much is waiting for it.
            DeadlineExceeded: ``TIMEOUT_001`` if the deadline is over.
            InvalidRequest: ``VALID_003`` if the tensors do not fit into one message.
        """
        channel = self._link.channel
        if channel is None or self._closed or self._link.silent:
            raise self._gone()
        tensors = pack(self.signature.inputs, request.inputs)
        self._pending.check(tensors.size)
        now = self._loop.time()
        remaining = None if request.deadline is None else request.deadline - now
        if remaining is not None and remaining <= 0:
            raise _late(0.0)
        waiting = Waiting(
            pending=self._pending,
            channel=channel,
            number=next(self._numbers),
            done=done,
            size=tensors.size,
            arrived=now,
            outputs=self._wanted(request.outputs),
        )
        try:
            channel.send_tensors(REQUEST, waiting.number, partial(_head, request, remaining), tensors)
        except TooLarge as error:
            message = f"The request is too large for {self._label}: {error}."
            raise InvalidRequest(ErrorCode.TOO_LARGE, message) from None
        if request.deadline is not None:
            waiting.timer = self._loop.call_at(request.deadline + _GRACE_S, self._expire, waiting)
        self._pending.add(waiting)
        return waiting

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        """Runs one request and waits for it; see :meth:`submit`."""
        return await wait_for(self.submit, request)

    def statistics(self) -> ModelStatistics:
        """The runner's own counters, of all API workers together, as of its last sign of life."""
        return self._link.statistics

    async def drain(self) -> None:
        """Refuses new requests and returns when the accepted ones have ended."""
        self._closed = True
        await self._pending.empty()

    async def close(self) -> None:
        """Fails what still waits and leaves the runner. May be called twice."""
        self._closed = True
        self._fail_all()
        await self._link.close()

    def _wanted(self, names: tuple[str, ...] | None) -> Sequence[TensorSpec]:
        outputs = self.signature.outputs
        return outputs if names is None else [spec for spec in outputs if spec.name in names]

    def _received(self, channel: Channel, kind: int, number: int, head: memoryview, payload: memoryview) -> None:
        waiting = self._pending.get(number)
        outcome: Outcome
        if kind == REPLY:
            reply = read(decode_reply, head)
            data = channel.payload(reply.block, reply.size, payload)  # taken even if nobody waits for it
            if waiting is None:
                return
            outcome = unpack(waiting.outputs, reply.shapes, data)
        elif kind == FAILURE:
            outcome = revived(read(decode_failure, head))
        else:
            raise ProtocolError(f"a frame of kind {kind} from the runner")
        if waiting is not None:
            self._end(waiting, outcome)

    def _end(self, waiting: Waiting, outcome: Outcome) -> None:
        if self._pending.forget(waiting):
            try:
                waiting.done(outcome)
            except Exception:
                log.exception("result_not_taken", model=self._label)  # the others on this connection get theirs

    def _found(self) -> None:
        if self._on_ready is not None:
            self._on_ready()

    def _fail_all(self) -> None:
        for waiting in self._pending:
            self._end(waiting, self._gone())

    def _expire(self, waiting: Waiting) -> None:
        waiting.channel.send(CANCEL, waiting.number)
        self._end(waiting, _late(self._loop.time() - waiting.arrived))

    def _expire_late(self) -> None:
        """Ends those without a deadline of their own; the runner has done so, unless it hangs."""
        due = self._loop.time() - self._max_wait_s - _GRACE_S
        for waiting in self._pending:
            if waiting.arrived > due:
                return
            if waiting.timer is None:
                self._expire(waiting)

    def _gone(self) -> Unavailable:
        return Unavailable(
            ErrorCode.MODEL_NOT_READY, f"The runner of {self._label} is not available now.", retry_after=1.0
        )


async def attach(path: Path, *, limits: WireLimits, max_wait_s: float, within_s: float) -> LoadedModel:
    """The model that the runner at ``path`` has verified and loaded, once it has.

    Raises:
        InitError: ``INIT_001`` if the runner is not there within ``within_s`` seconds.
    """
    handle = RemoteHandle(partial(connect, path), limits=limits, max_wait_s=max_wait_s)
    try:
        return await handle.start(within_s)
    except BaseException:
        await handle.close()
        raise


def _head(
    request: InferenceRequest, remaining: float | None, shapes: list[Shape], block: int | None, size: int
) -> bytes:
    return encode(
        Request(
            request.tenant,
            request.request_id,
            shapes,
            block,
            size,
            remaining,
            request.outputs,
            request.priority,
            request.traceparent,
        )
    )


def _late(waited_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(ErrorCode.TIMEOUT, f"No result within {waited_s:.3f} s.", retry_after=1.0)

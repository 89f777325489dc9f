# SPDX-License-Identifier: Apache-2.0
"""The way to the registry and to files: in order, once each, bounded while the sink is away."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import ErrorCode, Unavailable
from runners.testing import FakeRunner
from services.dataplane.requestlog.batches import MOST_ENTRIES, Batch, as_json, batch_of
from services.dataplane.requestlog.delivery import Delivery
from services.dataplane.requestlog.interface import NotTaken
from services.dataplane.requestlog.log import Entry, RequestLog
from services.dataplane.requestlog.sinks import FileSink, RegistrySink
from services.edge.context import Principal
from services.testing import loaded

ME = Principal(tenant="acme", key_id="k")


class Keeping:
    """A sink that keeps batches, or fails as it is told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.error: Exception | None = None
        self.closed = 0

    async def put(self, batch: Batch) -> None:
        if self.error is not None:
            raise self.error
        self.batches.append(batch)

    async def close(self) -> None:
        self.closed += 1


class Setting:
    def __init__(self) -> None:
        self.log = RequestLog(share=1, capacity=100_000, now=lambda: 1_700_000_000.25)
        self.sink = Keeping()
        self.delivery = Delivery(self.log, self.sink, flush_s=0.001)
        self.model = loaded(FakeRunner(width=2), model="m")

    def note(self, count: int = 1) -> None:
        for _ in range(count):
            self.log.ended(ME, self.model, None, None, code="ok", protocol="test", started=0.0, seconds=0.25)


@pytest.fixture
async def setting() -> Setting:
    return Setting()


def entry(setting: Setting, **changed: Any) -> Entry:
    values = {
        "at": 1_700_000_000.25,
        "tenant": "acme",
        "key_id": "k",
        "model": setting.model,
        "request_id": "r",
        "code": "ok",
        "protocol": "rest_v2",
        "rows": 2,
        "seconds": 0.25,
        "waited": 0.1,
        "computed": 0.05,
        "weight": 2.0,
    }
    return tuple({**values, **changed}.values())  # in the entry's order


async def test_entries_travel_as_the_registry_reads_them(setting: Setting) -> None:
    """Times in RFC 3339, durations in microseconds; ids that the registry would refuse are replaced."""
    batch = batch_of([entry(setting), entry(setting, key_id="two words", request_id="grüße", computed=-0.5)])
    sent = json.loads(as_json(batch))
    first, second = sent["requests"]
    assert first == {
        "tenant": "acme",
        "at": "2023-11-14T22:13:20.250000Z",
        "model": "m",
        "version": setting.model.version,
        "code": "ok",
        "protocol": "rest_v2",
        "key_id": "k",
        "total_us": 250_000,
        "runner": setting.model.handle.runner,
        "rows": 2,
        "request_id": "r",
        "queue_us": 100_000,
        "compute_us": 50_000,
        "weight": 2.0,
    }
    assert (second["key_id"], "request_id" in second, second["compute_us"]) == ("other", False, 0)


async def test_batches_are_bounded(setting: Setting) -> None:
    """As many entries as the registry takes at once, in order, each batch under an id of its own."""
    setting.note(MOST_ENTRIES * 2 + 1)
    assert await setting.delivery.flush()
    assert [len(batch.requests) for batch in setting.sink.batches] == [MOST_ENTRIES, MOST_ENTRIES, 1]
    assert len({batch.id for batch in setting.sink.batches}) == 3


async def test_a_batch_is_sent_again_under_its_id(setting: Setting) -> None:
    """The registry was away; nothing is lost and nothing counts twice."""
    setting.note()
    setting.sink.error = Unavailable(ErrorCode.STORE_UNAVAILABLE, "away")
    assert not await setting.delivery.flush()
    waiting = setting.delivery._waiting[0].id
    setting.note()
    setting.sink.error = None
    assert await setting.delivery.flush()
    assert setting.sink.batches[0].id == waiting
    assert len(setting.sink.batches) == 2


async def test_while_the_sink_is_away_the_newest_are_dropped(setting: Setting) -> None:
    """So many batches wait; memory stays bounded."""
    setting.sink.error = httpx.ConnectError("away")
    for _ in range(60):
        setting.note()
        assert not await setting.delivery.flush()
    assert len(setting.delivery._waiting) == 50


async def test_what_is_refused_is_not_sent_again(setting: Setting) -> None:
    """A batch that will never be taken makes room for the next."""
    setting.note()
    setting.sink.error = NotTaken("no")
    assert await setting.delivery.flush()
    assert not setting.delivery._waiting


async def test_a_stop_delivers_what_is_there(setting: Setting) -> None:
    """And closes the sink; twice is fine."""
    setting.delivery.start()
    setting.note(3)
    await setting.delivery.close()
    await setting.delivery.close()
    assert sum(len(batch.requests) for batch in setting.sink.batches) == 3
    assert setting.sink.closed == 2


async def test_files_get_a_line_per_request(setting: Setting, tmp_path: Path) -> None:
    """Appended, as JSON."""
    sink = FileSink(tmp_path / "requests.jsonl")
    for _ in range(2):
        await sink.put(batch_of([entry(setting), entry(setting)]))
    await sink.close()
    lines = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["tenant"] for line in lines] == ["acme"] * 4


async def test_a_batch_that_does_not_fit_into_its_file_leaves_nothing_there(setting: Setting, tmp_path: Path) -> None:
    """No half line is left for the next one to go on from; once there is room, the batch is there once."""
    path = tmp_path / "requests.jsonl"
    sink, batch = FileSink(path), batch_of([entry(setting), entry(setting)])
    await sink.put(batch)
    whole = path.read_bytes()
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, room[1]))  # as a disk that is full after ten bytes more
    try:
        with pytest.raises(OSError, match="No space left"):
            await sink.put(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    assert path.read_bytes() == whole
    await sink.put(batch)
    assert path.read_bytes() == 2 * whole


@pytest.mark.parametrize(
    ("status", "error"), [(200, None), (429, Unavailable), (503, Unavailable), (403, NotTaken), (422, NotTaken)]
)
async def test_the_registrys_answer_decides(setting: Setting, status: int, error: type[Exception] | None) -> None:
    """Success ends it, a fault of the registry asks for a repetition, a refusal gives up."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status)

    sink = RegistrySink("http://registry/", api_key="furo_x", timeout_s=1, transport=httpx.MockTransport(answer))
    if error is None:
        await sink.put(batch_of([entry(setting)]))
    else:
        with pytest.raises(error):
            await sink.put(batch_of([entry(setting)]))
    await sink.close()
    assert (str(seen[0].url), seen[0].headers["x-api-key"]) == ("http://registry/api/v1/requests", "furo_x")

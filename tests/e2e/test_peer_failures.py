# SPDX-License-Identifier: Apache-2.0
"""What breaks in other model servers, each observed by running them, does not break here.

One section per server failure, in the order of the list they were collected in. Everything runs against the served product:
a registry, ``bentoml serve`` and two tenants over loopback, or one signed bundle where the runner is a process of its own.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest
import pytest_asyncio
from onnx import ModelProto, TensorProto

from artifacts.testing import make_bundle
from deploy.local.stack import LocalStack, free_port
from deploy.local.train import Trained, train_wine
from furoshiki import AuthError, Client
from loadtests.servers import running
from tests.e2e.busy import BUSY, asked, busy, code, heavy, loops_per_second, numbers, same, tensor
from tests.e2e.peers import INFER, Caller, Served, is_runner, lines, recovered, refuses_pickle, unix_sockets, vanish
from tests.served import staged

ACME, GLOBEX = "acme", "globex"
QUEUE_ROWS: Final = 32
TENANT_ROWS: Final = 24  # what one tenant may fill of an empty queue of 32: three quarters
HEAVY_MB: Final = 64
SETTINGS: Final = {
    "FUROSHIKI_BATCHING__MAX_QUEUE_ROWS": str(QUEUE_ROWS),
    "FUROSHIKI_RUNNER__INSTANCES": "1",
    "FUROSHIKI_RUNNER__THREADS": "1",
}


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_wine(tmp_path_factory.mktemp("wine"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits: Trained) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("peers")
    stack = LocalStack(
        folder / "home", registry_port=free_port(), inference_port=free_port(), inference_settings=SETTINGS
    )
    models: dict[str, ModelProto] = {
        "busy": busy(),
        "small": same("small", TensorProto.UINT8, 2),
        "words": same("words", TensorProto.STRING, 2),
        "heavy": heavy(HEAVY_MB),
    }
    files = [digits.file]
    for name, model in models.items():
        files.append(folder / f"{name}.onnx")
        files[-1].write_bytes(model.SerializeToString())
    try:
        stack.start(lambda _: None)
        keys = {}
        with Client(stack.registry_url, api_key=stack.admin_key) as admin:
            for tenant in (ACME, GLOBEX):
                admin.tenants.create(tenant)
                keys[tenant] = admin.keys.create("tests", roles=["tenant-admin"], tenant=tenant).key
        for tenant, key in keys.items():
            with Client(stack.registry_url, api_key=key) as client:
                for file in files if tenant == ACME else files[:2]:
                    client.models.push(file.stem, file, metadata={"owner": tenant})
        yield Served(stack=stack, keys=keys, second=int(loops_per_second()))
    finally:
        stack.stop()


@pytest_asyncio.fixture
async def acme(served: Served) -> AsyncIterator[Caller]:
    caller = Caller(served, ACME)
    async with caller.http:
        numbers(await caller.ask(asked([1, 1])))  # loaded
        yield caller


@pytest_asyncio.fixture
async def globex(served: Served) -> AsyncIterator[Caller]:
    caller = Caller(served, GLOBEX)
    async with caller.http:
        numbers(await caller.ask(asked([1, 1])))
        yield caller


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
    """``busy`` in a runner process of its own behind two API workers; its URL and the supervisor."""
    folder = tmp_path_factory.mktemp("split")
    bundle = make_bundle({"model.onnx": busy().SerializeToString()}, signature=BUSY)
    environment = staged(bundle, folder) | {"FUROSHIKI_TOPOLOGY": "split", "FUROSHIKI_HTTP__WORKERS": "2"}
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "services.inference.service:Inference", "--port", str(port)]
    ready = f"http://127.0.0.1:{port}/v2/health/ready"
    with running(command, environment=environment, log=folder / "log", ready=ready) as process:
        yield ready.removesuffix("/v2/health/ready"), psutil.Process(process.pid)


async def test_1_identity_travels_with_the_request(served: Served, acme: Caller, globex: Caller) -> None:
    """BentoML gives 24 of 24 concurrent requests another caller's context; here each keeps its own, down to its log line."""
    before = served.executions(f"{ACME}/busy")
    occupied = [await caller.occupied(served.loops(1)) for caller in (acme, globex)]
    asked_by = {f"who-{n}": (acme, globex)[n % 2] for n in range(24)}
    tasks = {
        name: caller.start({**asked([n, -n]), "id": name}, request_id=name)
        for n, (name, caller) in enumerate(asked_by.items())
    }
    answers = dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))
    await asyncio.gather(*occupied)
    digests: dict[str, set[str]] = {ACME: set(), GLOBEX: set()}
    for n, (name, answer) in enumerate(answers.items()):
        assert numbers(answer) == [2 * n, -2 * n]
        assert (answer.json()["id"], answer.headers["x-request-id"]) == (name, name)
        digests[asked_by[name].tenant].add(answer.headers["x-furoshiki-model-digest"])
    assert [len(found) for found in digests.values()] == [1, 1]
    assert digests[ACME] != digests[GLOBEX]
    assert served.executions(f"{ACME}/busy") - before < 13  # so requests did share batches
    logged = lines(served)
    assert {name: logged[name]["tenant"] for name in asked_by} == {n: c.tenant for n, c in asked_by.items()}


async def test_2_a_row_of_the_wrong_width_fails_alone(served: Served, acme: Caller, digits: Trained) -> None:
    """BentoML fails 22 to 23 of 24 concurrent requests for one row of the wrong width; here one fails."""
    path = "/v2/models/digits/infer"
    good = [{"inputs": [tensor("X", "FP32", digits.inputs[n : n + 1].tolist())]} for n in range(23)]
    bad = {"inputs": [tensor("X", "FP32", [[0.0] * 63])]}
    answers = await asyncio.gather(*(acme.ask(body, path=path) for body in [*good[:11], bad, *good[11:]]))
    refused = answers.pop(11)
    assert (refused.status_code, code(refused)) == (400, "TENSOR_001")
    for answer, label in zip(answers, digits.predicted[:23], strict=True):
        assert next(o for o in answer.json()["outputs"] if o["name"] == "label")["data"] == [label]


async def test_2_a_row_the_model_refuses_fails_alone(served: Served, acme: Caller) -> None:
    """A row that only the runtime finds wrong is found inside its batch: it fails, the other 23 of the batch do not."""
    occupied = await acme.occupied(served.loops(1))
    tasks = [acme.start(asked([n, n], pick=7 if n == 11 else 0)) for n in range(24)]
    answers = await asyncio.gather(*tasks)
    numbers(await occupied)
    refused = answers[11]
    assert (refused.status_code, code(refused)) == (400, "TENSOR_006")
    assert [numbers(answer) for n, answer in enumerate(answers) if n != 11] == [
        [2 * n, 2 * n] for n in range(24) if n != 11
    ]


async def test_3_no_datatype_is_promoted(served: Served, acme: Caller) -> None:
    """BentoML makes float64 of a float32 and int16 of a uint8 in a mixed batch; here the other type is refused."""
    occupied = await acme.occupied(served.loops(0.7))
    tasks = [acme.start(asked([n, n], datatype=("FP32", "FP64")[n % 2])) for n in range(24)]
    answers = await asyncio.gather(*tasks)
    numbers(await occupied)
    for n, answer in enumerate(answers):
        if n % 2:
            assert (answer.status_code, code(answer)) == (400, "TENSOR_002")
        else:
            assert numbers(answer) == [2 * n, 2 * n]
            assert answer.json()["outputs"][0]["datatype"] == "FP32"
    small = [{"inputs": [tensor("x", ("UINT8", "INT8")[n % 2], [[n, 100]])]} for n in range(24)]
    answers = await asyncio.gather(*(acme.ask(body, path="/v2/models/small/infer") for body in small))
    assert [code(answer) for answer in answers[1::2]] == ["TENSOR_002"] * 12
    assert [numbers(answer) for answer in answers[::2]] == [[n, 100] for n in range(0, 24, 2)]
    assert {answer.json()["outputs"][0]["datatype"] for answer in answers[::2]} == {"UINT8"}


async def test_4_rows_of_clients_that_have_gone_are_not_computed(served: Served, acme: Caller) -> None:
    """BentoML computes rows whose clients have gone; here they leave the queue."""
    before = served.executed(f"{ACME}/busy")
    occupied = await acme.occupied(served.loops(2))
    gone = [acme.start(asked([n, n])) for n in range(10)]
    stays = acme.start(asked([7, 7]))
    await asyncio.sleep(0.2)
    await vanish(gone)
    assert not occupied.done()
    assert numbers(await stays) == [14, 14]
    numbers(await occupied)
    assert served.executed(f"{ACME}/busy") - before == 2


async def test_5_one_cancelled_of_six_in_a_batch_holds_up_nobody(served: Served, acme: Caller) -> None:
    """MLServer leaves three of six waiting for ever when one is cancelled inside the batch; here the five are answered."""
    occupied = await acme.occupied(served.loops(0.5))
    six = [acme.start(asked([n, n], loops=served.loops(0.8))) for n in range(6)]
    numbers(await occupied)
    await asyncio.sleep(0.2)
    await vanish([six.pop(2)])
    answers = await asyncio.wait_for(asyncio.gather(*six), 30)
    assert [numbers(answer) for answer in answers] == [[2 * n, 2 * n] for n in (0, 1, 3, 4, 5)]


async def test_6_another_width_fails_nobody_and_mixes_up_nothing(served: Served, acme: Caller) -> None:
    """MLServer fails all six for one of another width, or gives one another's numbers; here each gets its own."""
    occupied = await acme.occupied(served.loops(0.7))
    sent = [[float(10 * n + i) for i in range(5 if n == 3 else 4)] for n in range(6)]
    answers = await asyncio.gather(*(acme.ask(asked(row)) for row in sent))
    numbers(await occupied)
    assert [numbers(answer) for answer in answers] == [[2 * value for value in row] for row in sent]


async def test_7_failures_and_cancellations_wedge_nothing(served: Served, acme: Caller) -> None:
    """Ray Serve's batching is wedged by an exception and keeps a queue of the cancelled; here the room comes back at once."""
    refusals = await asyncio.gather(*(acme.ask(asked([n, n], pick=7)) for n in range(20)))
    assert {code(answer) for answer in refusals} == {"TENSOR_006"}
    occupied = await acme.occupied(served.loops(2.5))
    full = [acme.start(asked([n, n])) for n in range(TENANT_ROWS)]
    await asyncio.sleep(0.2)
    one_more = await acme.ask(asked([9, 9]))
    assert code(one_more) == "QUEUE_001"
    await vanish(full)
    again = [acme.start(asked([n, n])) for n in range(TENANT_ROWS)]
    await asyncio.sleep(0.2)
    assert not occupied.done()
    assert [numbers(answer) for answer in await asyncio.gather(*again)] == [[2 * n, 2 * n] for n in range(TENANT_ROWS)]
    numbers(await occupied)


def test_8_a_dead_worker_is_not_ready(served: Served) -> None:
    """With MLServer a worker dies and health stays green; here whoever says ready answers the next inference."""
    (worker,) = served.workers()
    headers = {"X-API-Key": served.keys[ACME]}
    worker.kill()
    recovered(served.url, headers)


def test_8_a_dead_runner_is_not_ready(split: tuple[str, psutil.Process]) -> None:
    """The same where the model runs in a process of its own: not ready and a retryable error at once, then recovery."""
    url, supervisor = split
    (runner,) = [process for process in supervisor.children(recursive=True) if is_runner(process)]
    runner.suspend()
    deadline = time.monotonic() + 10
    while httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200:
        assert time.monotonic() < deadline, "ready, though the runner is silent"
        time.sleep(0.1)
    runner.kill()
    answer = httpx.post(url + "/v2/models/digits/infer", json=asked([1, 2]), timeout=5)
    assert (answer.status_code, code(answer)) == (503, "MODEL_002")
    assert int(answer.headers["retry-after"]) >= 1
    recovered(url, {}, model="digits")


async def test_9_the_queue_limit_is_exact_under_a_burst(served: Served, acme: Caller) -> None:
    """Triton's queue limit is not exact under a burst; here of 60 as many wait as may, and the rest is told at once."""
    occupied = await acme.occupied(served.loops(3))
    burst = [acme.start(asked([n, n])) for n in range(60)]
    await asyncio.wait(burst, timeout=1)
    assert not occupied.done()
    refused = [task.result() for task in burst if task.done()]
    waiting = {n: task for n, task in enumerate(burst) if not task.done()}
    assert len(waiting) == TENANT_ROWS
    assert {(answer.status_code, code(answer)) for answer in refused} == {(429, "QUEUE_001")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    for n, task in waiting.items():
        assert numbers(await task) == [2 * n, 2 * n]
    numbers(await occupied)


async def test_9_timeouts_are_exact_under_a_burst(served: Served, acme: Caller) -> None:
    """Triton's timeout is not exact under a burst; here nobody waits past a deadline, and what is late is not computed."""
    before = served.executed(f"{ACME}/busy")
    occupied = await acme.occupied(served.loops(3))
    answers = await asyncio.gather(*(acme.ask(asked([n, n], timeout_s=0.4)) for n in range(20)))
    assert {(answer.status_code, code(answer)) for answer in answers} == {(504, "TIMEOUT_001")}
    assert not occupied.done()
    numbers(await occupied)
    assert served.executed(f"{ACME}/busy") - before == 1


async def test_9_hanging_up_stops_the_execution(served: Served, acme: Caller) -> None:
    """Over HTTP, Triton computes on when the client has gone; here the execution stops and the next request runs."""
    started = time.perf_counter()
    endless = await acme.occupied(served.loops(20))
    await vanish([endless])
    assert numbers(await acme.ask(asked([3, 4]))) == [6, 8]
    assert time.perf_counter() - started < 15  # of the twenty it would have gone on


async def test_9_unloading_gives_the_memory_back(served: Served, acme: Caller) -> None:
    """Triton keeps the memory of an unloaded model; here the processes shrink by what they had grown, every time."""

    def resident_mb() -> float:
        return sum(process.memory_info().rss for process in served.processes()) / 2**20

    async def move(step: str) -> float:
        answer = await acme.http.post(f"/v2/repository/models/heavy/{step}", json={})
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(1)
        return resident_mb()

    empty = resident_mb()
    for _ in range(3):
        loaded = await move("load")
        assert loaded - empty > 0.9 * HEAVY_MB
        unloaded = await move("unload")
        assert loaded - unloaded > 0.9 * HEAVY_MB
    assert unloaded - empty < 0.25 * HEAVY_MB


def test_10_versions_registered_at_once_do_not_race(served: Served, wine: Trained) -> None:
    """In MLflow concurrent registrations race; here eight at once become versions 1 to 8, each signed and its own."""

    def push(number: int) -> tuple[int, str, str]:
        with Client(served.stack.registry_url, api_key=served.keys[ACME]) as client:
            version = client.models.push("raced", wine.file, metadata={"pushed": str(number)})
            return version.version, version.digest, version.metadata["pushed"]

    with ThreadPoolExecutor(8) as pool:
        pushed = list(pool.map(push, range(8)))
    assert sorted(version for version, _, _ in pushed) == list(range(1, 9))
    assert len({digest for _, digest, _ in pushed}) == 8
    with Client(served.stack.registry_url, api_key=served.keys[ACME]) as client:
        listed = {(v.version, v.digest, v.metadata["pushed"]) for v in client.versions.list("raced")}
    assert listed == set(pushed)


def test_10_promotions_have_a_history_and_need_a_right(served: Served, wine: Trained) -> None:
    """MLflow keeps no history of promotions and lets anybody promote; here each is on record and needs a right."""
    with Client(served.stack.registry_url, api_key=served.keys[ACME]) as client:
        version = client.models.push("promoted", wine.file).version
        for stage in ("STAGING", "PRODUCTION"):
            client.versions.stage("promoted", version, stage, reason=f"to {stage}")
        history = list(client.models.history("promoted"))
        weak = client.keys.create("weak", roles=["user", "viewer"]).key
    assert [(change.from_stage, change.to_stage, change.reason) for change in history] == [
        ("STAGING", "PRODUCTION", "to PRODUCTION"),
        ("DEVELOPMENT", "STAGING", "to STAGING"),
    ]
    assert {change.actor for change in history} == {"tests"}
    with Client(served.stack.registry_url, api_key=weak) as client, pytest.raises(AuthError, match="AUTH_003"):
        client.versions.stage("promoted", version, "DEPRECATED", reason="because I can")


def test_11_pickle_is_refused_everywhere(served: Served, tmp_path: Path) -> None:
    """BentoML unpickles what it is sent on internal services; here no route reads a pickle."""
    with httpx.Client(base_url=served.url, timeout=10) as client:
        refuses_pickle(client, {"X-API-Key": served.keys[ACME]}, tmp_path / "trap")


def test_11_pickle_is_refused_by_the_runner(split: tuple[str, psutil.Process], tmp_path: Path) -> None:
    """Neither do the sockets between the processes of a server, which is where BentoML expects pickles."""
    url, supervisor = split
    with httpx.Client(base_url=url, timeout=10) as client:
        refuses_pickle(client, {}, tmp_path / "trap")
    sockets = unix_sockets(supervisor)
    assert sockets
    for path in sockets:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://runner", timeout=5) as client:
            refuses_pickle(client, {}, tmp_path / "trap")


def test_11_an_address_as_value_is_never_fetched(served: Served) -> None:
    """BentoML fetches URLs given as file input; here an address is a text, or a value of the wrong type."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/weights.npy"
        listener.settimeout(2)
        watcher = threading.Thread(target=_watch, args=(listener, called))
        watcher.start()
        headers = {"X-API-Key": served.keys[ACME]}
        data = tensor("x", "FP32", [[address, address]])
        refusals = [
            httpx.post(f"{served.url}/v1/infer", headers=headers, json={"model": "busy", "inputs": address}),
            httpx.post(f"{served.url}/v1/infer", headers=headers, json={"model": "busy", "inputs": {"x": address}}),
            httpx.post(served.url + INFER, headers=headers, json={"inputs": [data]}),
            httpx.post(served.url + INFER, headers=headers, json={"inputs": [{**data, "data": address}]}),
            httpx.post(served.url + INFER, headers=headers, data={"x": address}),
            httpx.post(served.url + INFER, headers=headers, files={"x": address.encode()}),
            httpx.post(served.url + INFER, headers={**headers, "Content-Type": "text/uri-list"}, content=address),
        ]
        text = httpx.post(
            f"{served.url}/v2/models/words/infer",
            headers=headers,
            json={"inputs": [tensor("x", "BYTES", [[address, ""]])]},
        )
        watcher.join()
    assert all(400 <= answer.status_code < 500 for answer in refusals), [answer.status_code for answer in refusals]
    assert text.json()["outputs"][0]["data"] == [address, ""]
    assert not called.is_set()


def _watch(listener: socket.socket, called: threading.Event) -> None:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    connection.close()
    called.set()

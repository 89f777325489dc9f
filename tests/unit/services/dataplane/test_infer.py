# SPDX-License-Identifier: Apache-2.0
"""The data plane: leases that always end, deadlines that include loading, and counts that tell the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import numpy as np
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from artifacts.testing import refused
from core.errors import ErrorCode, FuroshikiError
from core.inference import InferenceRequest, InferenceResponse
from core.telemetry import hot
from core.tensors import Array, DType
from runners.cache import LoadedModel
from runners.testing import POISON, FakeRunner
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.catalog.interface import not_found
from services.dataplane.gate import Gate
from services.dataplane.infer import DataPlane
from services.dataplane.run import Answer
from services.edge.context import Principal, TenantLimits
from services.testing import loaded

ME = Principal(tenant="acme", key_id="k")


class OneModel(BundleCatalog):
    """A catalog of one model that counts leases and can keep its callers waiting."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model)
        self._one = model
        self.leases = 0
        self.open = asyncio.Event()
        self.open.set()

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        await self.open.wait()
        if model != self._one.model:
            raise not_found(model, version)
        self.leases += 1
        return self._one

    def lease(self, principal: Principal, model: str, version: str | None) -> LoadedModel | None:
        if model != self._one.model or not self.open.is_set():
            return None
        self.leases += 1
        return self._one

    def release(self, model: LoadedModel) -> None:
        self.leases -= 1


class Setting:
    def __init__(self, name: str) -> None:
        self.name = name
        self.runner = FakeRunner(width=2)
        self.catalog = OneModel(loaded(self.runner, model=name))
        self.gate = Gate(TenantLimits(concurrent_requests=3))
        self.plane = DataPlane(self.catalog, self.gate)

    def request(self, value: float = 1, *, width: int = 2, **fields: object) -> InferenceRequest:
        inputs = {"x": np.full((1, width), value, dtype=np.float32)}
        values: dict[str, object] = {"model": self.name, "version": None, "inputs": inputs, **fields}
        return InferenceRequest(tenant="acme", request_id="r", dtypes={"x": DType.FP32}, **values)  # type: ignore[arg-type]

    async def infer(self, value: float = 1, *, width: int = 2, **fields: object) -> Mapping[str, Array]:
        request = self.request(value, width=width, **fields)
        return (await self.plane.infer(ME, request, protocol="test")).outputs

    def counted(self, code: str) -> float | None:
        hot.flush()
        labels = {"tenant": "acme", "model": self.name, "version": "3", "protocol": "test", "code": code}
        return REGISTRY.get_sample_value("furoshiki_inference_requests_total", labels)


@pytest_asyncio.fixture
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    made = Setting(f"m-{request.node.name[:60].replace('_', '-')}")
    yield made
    made.catalog.open.set()
    made.runner.gate.set()
    await made.plane.close()


async def test_success(setting: Setting) -> None:
    """The outputs, one count, no lease left."""
    assert (await setting.infer(3))["y"].tolist() == [[7, 7]]
    assert (setting.counted("ok"), setting.catalog.leases) == (1, 0)


async def test_only_the_outputs_asked_for(setting: Setting) -> None:
    """A selection is applied; an unknown output is refused."""
    assert list(await setting.infer(outputs=("y",))) == ["y"]
    with refused(ErrorCode.TENSOR_UNEXPECTED, "'z'"):
        await setting.infer(outputs=("y", "z"))


@pytest.mark.parametrize(
    ("value", "width", "code"), [(POISON, 2, ErrorCode.TENSOR_REJECTED), (1, 3, ErrorCode.TENSOR_SHAPE)]
)
async def test_a_failure_is_counted_under_its_code(setting: Setting, value: float, width: int, code: ErrorCode) -> None:
    """The code of the error, no success, no lease left."""
    with refused(code):
        await setting.infer(value, width=width)
    assert (setting.counted(code), setting.counted("ok"), setting.catalog.leases) == (1, None, 0)


async def test_a_fault_of_ours_is_not_a_success(setting: Setting) -> None:
    """An exception nobody expected is counted as internal."""

    def broken(_inputs: Mapping[str, Array], _stop: object = None) -> dict[str, Array]:
        raise ZeroDivisionError

    setting.runner.run = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        await setting.infer()
    assert (setting.counted("INTERNAL_001"), setting.counted("ok"), setting.catalog.leases) == (1, None, 0)


async def test_a_caller_that_goes_away(setting: Setting) -> None:
    """Counted as cancelled, and its lease ends."""
    setting.runner.gate.clear()
    task = asyncio.ensure_future(setting.infer())
    while not setting.runner.batches:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (setting.counted("cancelled"), setting.catalog.leases) == (1, 0)


async def test_the_deadline_includes_loading(setting: Setting) -> None:
    """A request does not wait for a model beyond its own deadline; without one it waits."""
    setting.catalog.open.clear()
    patient = asyncio.ensure_future(setting.infer())
    with refused(ErrorCode.TIMEOUT):
        await setting.infer(deadline=asyncio.get_running_loop().time() + 0.01)
    setting.catalog.open.set()
    assert (await patient)["y"].tolist() == [[3, 3]]
    assert setting.catalog.leases == 0


async def test_beginning_without_waiting(setting: Setting) -> None:
    """A request to a loaded model begins at once; to any other it does not begin at all, and takes nothing."""
    ended: list[Answer] = []
    run = setting.plane.begin(ME, setting.name, None, protocol="test")
    assert run is not None
    run.submit(setting.request(3), ended.append)
    assert ended == []
    while not ended:
        await asyncio.sleep(0)
    assert isinstance(ended[0], InferenceResponse)
    assert ended[0].outputs["y"].tolist() == [[7, 7]]
    assert setting.plane.begin(ME, "other", None, protocol="test") is None
    assert (setting.counted("ok"), setting.catalog.leases) == (1, 0)


@pytest.mark.parametrize("ending", ["ok", "refused", "undecodable", "cancelled", "cancelled after the end"])
async def test_every_ending_gives_the_place_back(setting: Setting, ending: str) -> None:
    """However a request ends, lease and place are given back once: the limit of three never fills."""
    for _ in range(10):
        run = setting.plane.begin(ME, setting.name, None, protocol="test")
        assert run is not None
        ended: list[Answer] = []
        if ending == "undecodable":
            run.fail(ValueError())
        elif ending == "refused":
            with refused(ErrorCode.TENSOR_SHAPE):
                run.submit(setting.request(width=3), ended.append)
        else:
            run.submit(setting.request(), ended.append)
            while ending != "cancelled" and not ended:
                await asyncio.sleep(0)
            if ending != "ok":
                run.cancel()
    assert setting.catalog.leases == 0


async def test_beyond_the_limit_nothing_is_leased(setting: Setting) -> None:
    """The fourth of three concurrent requests is refused at once, by either way in."""
    setting.runner.gate.clear()
    waiting = [asyncio.ensure_future(setting.infer()) for _ in range(3)]
    while setting.catalog.leases < 3:
        await asyncio.sleep(0)
    with refused(ErrorCode.QUOTA_EXCEEDED):
        await setting.infer()
    with refused(ErrorCode.QUOTA_EXCEEDED):
        setting.plane.begin(ME, setting.name, None, protocol="test")
    setting.runner.gate.set()
    assert len(await asyncio.gather(*waiting)) == 3
    assert setting.catalog.leases == 0


async def test_an_unknown_model_takes_no_lease(setting: Setting) -> None:
    """Neither infer nor describe."""
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await setting.infer(model="other")
    with pytest.raises(FuroshikiError):
        await setting.plane.describe(ME, "other", None)
    assert setting.catalog.leases == 0


async def test_the_deadline_of_a_description(setting: Setting) -> None:
    """A description waits for loading no longer than its caller does."""
    setting.catalog.open.clear()
    with refused(ErrorCode.TIMEOUT):
        await setting.plane.describe(ME, setting.name, None, deadline=asyncio.get_running_loop().time() + 0.01)
    assert setting.catalog.leases == 0


async def test_describe_takes_no_lease_for_good(setting: Setting) -> None:
    """A description tells tensors, digest and key, and leaves no lease."""
    described = await setting.plane.describe(ME, setting.name, None)
    assert (described.version, described.runner, described.signature) == ("3", "fake", setting.runner.signature)
    assert setting.catalog.leases == 0

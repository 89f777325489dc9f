# SPDX-License-Identifier: Apache-2.0
"""What is noted of requests: as much as the tenant wants, at most as much as fits, with the times of the batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import REGISTRY

from core.errors import FuroshikiError
from core.inference import InferenceRequest
from core.telemetry import hot
from core.tensors import DType
from runners.testing import POISON, FakeRunner
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.gate import Gate
from services.dataplane.infer import DataPlane
from services.dataplane.requestlog.log import RequestLog
from services.edge.context import Principal, TenantLimits
from services.edge.features import effective
from services.testing import loaded

SOME = Principal(tenant="acme", key_id="k")
ALL = Principal(tenant="acme", key_id="k", features=effective({"requests.log_all": True}))
NONE = Principal(tenant="acme", key_id="k", features=effective({"requests.log": False}))


def plane(log: RequestLog | None, limits: TenantLimits | None = None) -> DataPlane:
    return DataPlane(BundleCatalog(loaded(FakeRunner(width=2), model="m")), Gate(limits or TenantLimits()), log=log)


def request(value: float = 1, *, rows: int = 3, width: int = 2) -> InferenceRequest:
    inputs = {"x": np.full((rows, width), value, dtype=np.float32)}
    return InferenceRequest(
        tenant="acme", model="m", version=None, request_id="r-1", inputs=inputs, dtypes={"x": DType.FP32}
    )


def new_log(share: float, capacity: int = 100, draws: Iterator[float] | None = None) -> RequestLog:
    return RequestLog(
        share=share, capacity=capacity, now=lambda: 5.0, draw=(lambda: 0.5) if draws is None else draws.__next__
    )


async def send(to: DataPlane, principal: Principal, sent: InferenceRequest) -> str:
    try:
        await to.infer(principal, sent, protocol="test")
    except FuroshikiError as error:
        return str(error.code)
    return "ok"


async def test_a_request_is_noted_with_its_times() -> None:
    """Who, what, how it ended, rows, and the total that holds the queue and the computation."""
    log = new_log(1)
    assert await send(plane(log), SOME, request()) == "ok"
    [entry] = log.take()
    at, tenant, key_id, model, request_id, code, protocol, rows, seconds, waited, computed, weight = entry
    assert (at, tenant, key_id, request_id, code, protocol, rows, weight) == (
        5.0,
        "acme",
        "k",
        "r-1",
        "ok",
        "test",
        3,
        1.0,
    )
    assert model.model == "m"
    assert waited is not None
    assert computed is not None
    assert 0 <= waited + computed <= seconds
    assert log.take() == []


async def test_failures_are_always_noted_where_some_are() -> None:
    """By the runtime, by the model's signature and by the tenant's limits; each stands for itself."""
    log = new_log(0.001)
    full = plane(log, TenantLimits(concurrent_requests=0))
    good = plane(log)
    codes = [
        await send(good, SOME, request(POISON)),
        await send(good, SOME, request(width=3)),
        await send(full, SOME, request()),
        await send(good, SOME, request()),
    ]
    assert codes[-1] == "ok"
    entries = log.take()
    assert [entry[5] for entry in entries] == codes[:3]
    assert {entry[11] for entry in entries} == {1.0}


async def test_a_share_stands_for_the_rest() -> None:
    """Chance decides, and what is noted counts for what is not."""
    log = new_log(0.25, draws=iter([0.3, 0.2, 0.9, 0.1]))
    to = plane(log)
    for _ in range(4):
        await send(to, SOME, request())
    assert [entry[11] for entry in log.take()] == [4.0, 4.0]


@pytest.mark.parametrize(("share", "principal", "noted"), [(0, SOME, 0), (1, NONE, 0), (0, ALL, 2), (0.1, ALL, 2)])
async def test_tenants_decide(share: float, principal: Principal, noted: int) -> None:
    """None, though the service logs all; all, though the service logs none. Failures likewise."""
    log = new_log(share)
    to = plane(log)
    await send(to, principal, request())
    await send(to, principal, request(POISON))
    assert len(log) == noted


async def test_names_that_callers_make_up_are_not_kept() -> None:
    """A request for a model that does not exist leaves nothing."""
    log = new_log(1)
    sent = request()
    sent.model = "nothing"
    assert await send(plane(log), SOME, sent) == "MODEL_001"
    assert log.take() == []


async def test_what_does_not_fit_is_counted() -> None:
    """The newest are dropped; requests go on."""
    log = new_log(1, capacity=2)
    to = plane(log)
    before = _dropped()
    for _ in range(5):
        assert await send(to, SOME, request()) == "ok"
    assert len(log.take()) == 2
    assert _dropped() - before == 3


def _dropped() -> float:
    hot.flush()
    return REGISTRY.get_sample_value("furoshiki_request_log_dropped_total") or 0.0

# SPDX-License-Identifier: Apache-2.0
"""What an inference service notes arrives in a real registry: the two sides agree on every field."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from core.errors import FuroshikiError
from core.inference import InferenceRequest
from core.tensors import DType
from runners.testing import POISON, FakeRunner
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.gate import Gate
from services.dataplane.infer import DataPlane
from services.dataplane.requestlog.delivery import Delivery
from services.dataplane.requestlog.interface import NotTaken
from services.dataplane.requestlog.log import RequestLog
from services.dataplane.requestlog.sinks import RegistrySink
from services.edge.context import Principal, TenantLimits
from services.testing import loaded
from tests.integration.registry_api.rest import Api

ME = Principal(tenant="default", key_id="issuer|some one")


def sink(api: Api, key: str) -> RegistrySink:
    return RegistrySink("http://registry", api_key=key, timeout_s=5, transport=httpx.ASGITransport(app=api.app))


async def infer(plane: DataPlane, value: float) -> None:
    inputs = {"x": np.full((3, 2), value, dtype=np.float32)}
    request = InferenceRequest(
        tenant="default", model="m", version=None, request_id="r-1", inputs=inputs, dtypes={"x": DType.FP32}
    )
    try:
        await plane.infer(ME, request, protocol="rest_v2")
    except FuroshikiError:
        return


async def test_requests_arrive_once(api: Api) -> None:
    """Successes and failures, with times and rows; a delivery that is repeated counts once."""
    log = RequestLog(share=1, capacity=100)
    plane = DataPlane(
        BundleCatalog(loaded(FakeRunner(width=2), tenant="default", model="m")), Gate(TenantLimits()), log=log
    )
    for value in (1.0, 2.0, POISON):
        await infer(plane, value)
    to = sink(api, await api.key("service"))
    delivery = Delivery(log, to, flush_s=1)
    await delivery._collect()
    await to.put(delivery._waiting[0])
    assert await delivery.flush()
    mine = {"X-API-Key": await api.key("tenant-admin")}
    items = (await api.ok("GET", "/requests", headers=mine))["items"]
    assert sorted(item["code"] == "ok" for item in items) == [False, True, True]
    assert {(item["rows"], item["key_id"], item["model"]) for item in items} == {(3, "other", "m")}
    for item in items:
        assert item["code"] != "ok" or 0 <= item["queue_us"] + item["compute_us"] <= item["total_us"]
    assert (await api.ok("GET", "/usage", headers=mine))["total"]["requests"] == 3


async def test_a_key_without_the_right_is_refused_for_good(api: Api) -> None:
    """Only the role ``service`` delivers; the batch is given up rather than repeated for ever."""
    log = RequestLog(share=1, capacity=100)
    delivery = Delivery(log, sink(api, await api.key("user")), flush_s=1)
    plane = DataPlane(
        BundleCatalog(loaded(FakeRunner(width=2), tenant="default", model="m")), Gate(TenantLimits()), log=log
    )
    await infer(plane, 1.0)
    await delivery._collect()
    with pytest.raises(NotTaken):
        await delivery._sink.put(delivery._waiting[0])
    assert await delivery.flush()
    assert not delivery._waiting

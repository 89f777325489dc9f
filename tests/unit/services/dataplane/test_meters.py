# SPDX-License-Identifier: Apache-2.0
"""Counts that are kept with the model and forgotten with it, without losing any."""

from __future__ import annotations

from prometheus_client import REGISTRY

from core.telemetry import hot
from runners.testing import FakeRunner
from services.dataplane.meters import Meters
from services.testing import loaded


def counted(model: str, code: str) -> float | None:
    labels = {"tenant": "acme", "model": model, "version": "3", "protocol": "p", "code": code}
    return REGISTRY.get_sample_value("furoshiki_inference_requests_total", labels)


async def test_a_model_is_forgotten_and_its_counts_are_not() -> None:
    """Forgetting keeps what was counted and not yet flushed; a model of the same name goes on counting from there."""
    meters = Meters()
    first, second = (loaded(FakeRunner(), model="forgotten") for _ in range(2))
    meters.count(first, "p", "ok", 0.001)
    meters.count(first, "p", "ok", 0.001)
    meters.forget(first)
    assert (len(meters), counted("forgotten", "ok")) == (0, 2)
    meters.count(second, "p", "ok", 0.001)
    hot.flush()
    assert (len(meters), counted("forgotten", "ok")) == (1, 3)
    for model in (first, second):
        await model.handle.close()


async def test_a_model_that_answered_nothing_may_be_forgotten() -> None:
    """A model that was loaded and never used leaves nothing either."""
    meters = Meters()
    model = loaded(FakeRunner(), model="unused")
    meters.forget(model)
    assert (len(meters), counted("unused", "ok")) == (0, None)
    await model.handle.close()

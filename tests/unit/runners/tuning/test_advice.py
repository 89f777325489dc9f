# SPDX-License-Identifier: Apache-2.0
"""What a tuning changes of how a model is run, and what it must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.verifier import BundleVerifier
from artifacts.testing import Bundle, make_bundle
from artifacts.tuning import Chosen, Device, Point, Tuning, sign_tuning
from core.clock import SystemClock
from runners.batching.policy import BatchLimits
from runners.bundles import load_bundle, loader_of
from runners.interface import RunnerOptions
from runners.loading import backend_of
from runners.settings import ServingSettings
from runners.tuning.advice import Advice, Plan
from runners.tuning.device import fingerprint_here, this_device
from tests.unit.runners.test_loading import SIGNATURE, doubling

PLAN = Plan(options=RunnerOptions(), limits=BatchLimits())
HERE = Device(cpu="This", cores=8, runner="onnx-cpu", version="1")


def tuning(device: Device = HERE, *, max_rows: int | None = 16) -> Tuning:
    point = Point(instances=2, threads=4, rows=16, rows_per_s=10.0, p50_ms=1.0)
    return Tuning(device=device, chosen=Chosen(instances=2, threads=4, max_rows=max_rows), measurements=(point,))


def advised(
    found: Tuning, *, bundle: Bundle | None = None, advice: Advice | None = None, **other: Any
) -> tuple[Plan, Mapping[str, Any]]:
    """The plan with a tuning of a bundle, and the one event that was logged."""
    bundle = bundle or make_bundle()
    signed = {"digest": bundle.manifest.digest, "signer": bundle.signer, **other}
    document = sign_tuning(found, variant="v", **signed)
    verifier = BundleVerifier(bundle.policy, SystemClock())
    with capture_logs() as events:
        plan = (advice or Advice()).applied(PLAN, document, bundle=bundle.verify(), verifier=verifier, here=HERE)
    (event,) = events
    return plan, event


def test_a_tuning_of_this_device_is_used() -> None:
    """Instances, threads and rows are those chosen; the log says so."""
    plan, event = advised(tuning())
    assert plan == Plan(options=RunnerOptions(threads=4, instances=2), limits=replace(BatchLimits(), max_rows=16))
    assert (event["event"], event["instances"], event["threads"], event["max_rows"]) == ("tuning_used", 2, 4, 16)


def test_another_version_of_the_runtime_is_no_other_device() -> None:
    """Only CPU model and cores decide."""
    plan, _ = advised(tuning(Device(cpu="This", cores=8, runner="onnx-cpu", version="2", features=("avx2",))))
    assert plan.options == RunnerOptions(threads=4, instances=2)


@pytest.mark.parametrize(("cpu", "cores"), [("Other", 8), ("This", 4)])
def test_a_tuning_of_another_device_is_left_alone(cpu: str, cores: int) -> None:
    """The settings stay and the log names both devices."""
    plan, event = advised(tuning(Device(cpu=cpu, cores=cores, runner="onnx-cpu", version="1")))
    assert (plan, event["event"]) == (PLAN, "tuning_ignored")
    assert f"{cores} cores of {cpu}" in event["reason"]
    assert "8 cores of This" in event["reason"]


@pytest.mark.parametrize(
    ("other", "code"),
    [({"signer": Ed25519Signer.generate()}, "SIGN_003"), ({"digest": "sha256:" + "0" * 64}, "SIGN_011")],
    ids=["stranger", "other-model"],
)
def test_a_tuning_nobody_vouches_for_is_refused_and_the_model_served(other: dict[str, Any], code: str) -> None:
    """It changes nothing; the warning has the code."""
    plan, event = advised(tuning(), **other)
    assert (plan, event["event"], event["code"], event["log_level"]) == (PLAN, "tuning_ignored", code, "warning")


def test_what_the_operator_set_stays() -> None:
    """Execution and rows are two decisions; with both taken nothing is left to advise."""
    plan, _ = advised(tuning(), advice=Advice(execution=False))
    assert plan == Plan(options=PLAN.options, limits=replace(PLAN.limits, max_rows=16))
    plan, _ = advised(tuning(), advice=Advice(rows=False))
    assert plan == Plan(options=RunnerOptions(threads=4, instances=2), limits=PLAN.limits)
    plan, event = advised(tuning(), advice=Advice(execution=False, rows=False))
    assert (plan, event["event"]) == (PLAN, "tuning_ignored")


def test_a_model_without_batches_keeps_the_limit() -> None:
    """There are no rows to advise."""
    assert advised(tuning(max_rows=None))[0].limits == PLAN.limits


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, [("tuning_used", 2, 4, 16)]),
        ({"FUROSHIKI_RUNNER__THREADS": "1"}, [("tuning_used", None, 1, 16)]),
        ({"FUROSHIKI_RUNNER__INSTANCES": "3"}, [("tuning_used", 3, 1, 16)]),
        ({"FUROSHIKI_BATCHING__MAX_ROWS": "64"}, [("tuning_used", 2, 4, 64)]),
        ({"FUROSHIKI_TUNING__USE": "false"}, []),
    ],
    ids=["nothing-set", "threads-set", "instances-set", "rows-set", "off"],
)
async def test_a_bundle_is_loaded_as_the_file_beside_it_says(
    environment: dict[str, str], expected: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tuning.json`` beside the bundle's folder counts where the operator left the choice, even to the default value."""
    bundle = make_bundle({"model.onnx": doubling()}, signature=SIGNATURE)
    bundle.write(tmp_path / "model")
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "acme.json").write_bytes(bundle.policy.to_bytes())
    device = this_device(backend_of("onnx"))
    assert device.fingerprint == fingerprint_here()
    document = sign_tuning(tuning(device), variant="v", digest=bundle.manifest.digest, signer=bundle.signer)
    (tmp_path / "tuning.json").write_bytes(document)
    base = {"FUROSHIKI_BUNDLE__PATH": str(tmp_path / "model"), "FUROSHIKI_TRUST__DIR": str(tmp_path / "trust")}
    for name, value in {**base, **environment}.items():
        monkeypatch.setenv(name, value)
    settings = ServingSettings.read()
    limits = BatchLimits(**settings.batching.model_dump())
    loader = loader_of(settings, limits=limits)
    with capture_logs() as events:
        loaded = await load_bundle(settings, loader)
    await loaded.handle.close()
    told = [e for e in events if e["event"].startswith("tuning_")]
    wanted = [
        (name, loader.options.instances if instances is None else instances, *rest)
        for name, instances, *rest in expected
    ]
    assert [(e["event"], e["instances"], e["threads"], e["max_rows"]) for e in told] == wanted

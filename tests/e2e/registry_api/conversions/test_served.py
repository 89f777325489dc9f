# SPDX-License-Identifier: Apache-2.0
"""From a pushed Keras or torch model to Bentos of its forms, served by ``bentoml serve``: they answer as the source does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import numpy as np
import pytest

from artifacts.digest import digest_bytes
from artifacts.signing.documents import Claim, DocumentKind, verify_document
from artifacts.signing.policy import TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from converters.choice.front import fidelity, latency_ms
from converters.parity.report import Report
from converters.parity.thresholds import DEFAULTS
from core.clock import SystemClock
from core.tensors import Array
from deploy.local.stack import LocalStack
from furoshiki import Client
from loadtests.servers import bentoml_serve
from tests.e2e.registry_api.conversions.conftest import AUTO, CONVERSIONS, at_once
from tests.e2e.registry_api.conversions.furo import Furo
from tests.e2e.registry_api.conversions.sources import Source

UPLOADED: Final = (
    ("saved-digits", "saved_model-fp32/cpu"),
    ("export-digits", "torch_export-fp32/cpu"),
    ("script-digits", "torchscript-fp32/cpu"),
)
MADE: Final = tuple((model, f"{to if '-' in to else f'{to}-fp32'}/cpu") for model, to in CONVERSIONS)
RUNTIMES: Final = {
    "onnx": "onnxruntime",
    "tflite": "ai-edge-litert",
    "saved_model": "tensorflow-cpu",
    "torch_export": "torch",
    "torchscript": "torch",
}


@pytest.fixture(scope="session")
def built(furo: Furo, converted: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """Builds by model and variant."""
    assert len(converted) == len(CONVERSIONS)

    def build(wanted: tuple[str, str]) -> Any:
        model, variant = wanted
        return furo.ok("build", f"{model}@1", "--variant", variant, "--wait")

    return dict(zip((*UPLOADED, *MADE), at_once(build, (*UPLOADED, *MADE)), strict=True))


@pytest.fixture(scope="session")
def verifier(stack: LocalStack) -> BundleVerifier:
    policy = TrustPolicy.from_bytes((stack.home / "keys" / "trust" / "default.json").read_bytes())
    return BundleVerifier(policy, SystemClock())


@pytest.mark.parametrize(("model", "variant"), [*UPLOADED, *MADE])
def test_a_bento_answers_as_its_source_does(
    stack: LocalStack,
    furo: Furo,
    sources: dict[str, Source],
    built: dict[tuple[str, str], Any],
    tmp_path: Path,
    model: str,
    variant: str,
) -> None:
    """On rows nobody has seen, within the bounds of the variant's report; the Bento asks for its own runtime and no other."""
    build, source = built[model, variant], sources[model]
    requirements = (stack.bento(build["tag"]) / "env" / "python" / "requirements.txt").read_text()
    asked = {line.partition("==")[0] for line in requirements.splitlines()} & set(RUNTIMES.values())
    assert asked == {RUNTIMES[variant.partition("-")[0]]}
    environment = {"BENTOML_HOME": str(stack.home / "bentoml"), "FUROSHIKI_AUTH__MODE": "open"}
    log = tmp_path / "log"
    with bentoml_serve(build["tag"], environment=environment, log=log, ready="/v2/health/ready") as url:
        body = {"model": model, "inputs": {"image": source.images.tolist()}}
        answer = httpx.post(f"{url}/v1/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    (scores,) = answer.json()["outputs"].values()
    form = next(each for each in furo.ok("report", f"{model}@1") if each["name"] == variant)
    assert answer.json()["digest"] == form["variant"]["digest"]
    bounds = DEFAULTS["fp32"] if form["conversion"] is None else report_of(furo, model, variant).thresholds
    check_bounds(bounds, source.scores, np.asarray(scores, np.float32))


@pytest.mark.parametrize(("model", "variant"), MADE)
def test_its_report_is_signed_and_drawn(
    furo: Furo,
    admin: Client,
    verifier: BundleVerifier,
    converted: dict[tuple[str, str], Any],
    tmp_path: Path,
    model: str,
    variant: str,
) -> None:
    """What `furo report` prints are the signed bytes: they name source, result and verdict; the picture is an SVG."""
    conversion = next(made for (name, _), made in converted.items() if (name, made["to"]) == (model, variant))
    result = next(each for each in conversion["results"] if each["variant"] == variant)
    data = furo("report", f"{model}@1", variant).out.rstrip("\n").encode()
    name = f"default/{model}@1 {variant}"
    claim = Claim(
        kind=DocumentKind.PARITY,
        name=f"report of {name}",
        digest=digest_bytes(data),
        about={name: result["digest"], f"default/{model}@1 {conversion['variant']}": conversion["digest"]},
        facts={"accepted": True, "conversion": conversion["id"]},
    )
    verify_document(admin.conversions.report_signature(conversion["id"], variant=variant), claim, verifier)
    reproduce = json.loads(data)["reproduce"]
    assert reproduce["calibration"]["digest"].startswith("sha256:")
    assert reproduce["environment"]
    picture = tmp_path / "report.svg"
    assert furo("report", f"{model}@1", variant, "--picture", str(picture)).code == 0
    assert picture.read_text().startswith("<svg")


def test_auto_keeps_the_front(furo: Furo, converted: dict[tuple[str, str], Any]) -> None:
    """Of what was tried, nothing that is kept beats another in size, latency and fidelity; who is beaten says by whom."""
    model, _ = AUTO
    results = {each["variant"]: each for each in converted[AUTO]["results"]}
    assert set(results) == {f"onnx-{precision}/cpu" for precision in ("fp32", "fp16", "int8")}
    points = {variant: point(report_of(furo, model, variant)) for variant in results}
    kept = {variant for variant, each in results.items() if each["accepted"]} - {"onnx-fp32/cpu"}
    for variant, each in results.items():
        beaten_by = {other for other in results if beats(points[other], points[variant])}
        if each["accepted"]:
            assert not beaten_by & kept or variant == "onnx-fp32/cpu"
        else:
            (reason,) = each["reasons"]
            assert reason.partition(" ")[0] in beaten_by
    names = {each["name"] for each in furo.ok("report", f"{model}@1") if each["state"] == "accepted"}
    assert names == kept | {"onnx-fp32/cpu"}


def report_of(furo: Furo, model: str, variant: str) -> Report:
    """The numbers of a report."""
    return msgspec.convert(json.loads(furo("report", f"{model}@1", variant).out)["report"], Report)


def check_bounds(bounds: Any, expected: Array, actual: Array) -> None:
    """The definitions of :mod:`converters.parity.report`, by hand."""
    error = np.abs(actual - expected)
    lengths = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
    found = {
        "max_relative": float(error.max() / np.abs(expected).max()),
        "mean_relative": float(error.mean() / np.abs(expected).mean()),
        "cosine": float(((actual * expected).sum(1) / lengths).mean()),
        "top1_agreement": float((actual.argmax(1) == expected.argmax(1)).mean()),
    }
    assert bounds.max_relative is None or found["max_relative"] <= bounds.max_relative
    assert bounds.mean_relative is None or found["mean_relative"] <= bounds.mean_relative
    assert bounds.cosine is None or found["cosine"] >= bounds.cosine
    assert bounds.top1_agreement is None or found["top1_agreement"] >= bounds.top1_agreement


def point(report: Report) -> tuple[float, float, float]:
    """Less is better."""
    return float(report.bytes), latency_ms(report), -fidelity(report)


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """At least as good everywhere, and better somewhere."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))

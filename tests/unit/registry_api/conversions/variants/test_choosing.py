# SPDX-License-Identifier: Apache-2.0
"""Which form of a version is used: states, devices, formats, fidelity, objectives, chains."""

from __future__ import annotations

from typing import Any

import pytest

from artifacts.testing import refused
from converters.parity.report import Latency
from core.errors import ErrorCode
from registry_api.conversions.testing import report_of
from registry_api.conversions.values import Result
from registry_api.conversions.variants.choosing import choose
from registry_api.conversions.variants.values import Choice, Form, FormState, Objective
from registry_api.models.values import Variant

DIGEST = "sha256:" + "0" * 64
SOURCE = "onnx-fp32/cpu"


def form(name: str, *, state: FormState = FormState.ACCEPTED, size: int = 1000, **report: Any) -> Form:
    """One form; ``report`` are fields of its report."""
    format_precision, device = name.split("/")
    model_format, _, precision = format_precision.rpartition("-")
    variant = Variant(
        name=name,
        format=model_format,
        precision=precision,
        device=device,
        digest=DIGEST,
        signature_digest=DIGEST,
        key_id="k",
        size=size,
        source=state is FormState.SOURCE,
    )
    made_from = report.pop("source", SOURCE)
    result = Result(
        conversion="c",
        variant=name,
        digest=DIGEST,
        size=size,
        accepted=state is not FormState.REJECTED,
        reasons=(),
        route=(),
        report=report_of(name, made_from, accepted=state is not FormState.REJECTED, **report),
        report_digest=DIGEST,
        report_signature_digest=DIGEST,
        picture_digest=DIGEST,
        key_id="k",
    )
    return Form(
        name=name,
        state=state,
        variant=None if state is FormState.REJECTED else variant,
        result=None if state is FormState.SOURCE else result,
    )


def took(source_ms: float, ms: float) -> tuple[Latency, ...]:
    return (Latency(rows=1, source_ms=source_ms, ms=ms),)


UPLOADED = form(SOURCE, state=FormState.SOURCE, size=4000)
ALL = frozenset({"onnx", "tflite"})


def chosen(*forms: Form, objective: Objective = Objective.LATENCY, **more: Any) -> Choice:
    return choose(forms, objective=objective, **{"device": "cpu", "formats": ALL, "fidelity": None, **more})


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (Objective.SOURCE, SOURCE),
        (Objective.LATENCY, "tflite-fp32/cpu"),
        (Objective.SIZE, "tflite-int8/cpu"),
        (Objective.FIDELITY, SOURCE),
    ],
)
def test_each_objective_has_its_winner(objective: Objective, name: str) -> None:
    """The uploaded form, the fastest, the smallest, the nearest; the sentence names the others."""
    fast = form("tflite-fp32/cpu", size=3900, cosine=0.99999, latency=took(2, 0.5))
    small = form("tflite-int8/cpu", size=1000, cosine=0.99, latency=took(2, 1))
    choice = chosen(UPLOADED, fast, small, objective=objective)
    assert choice.form.name == name
    assert name in choice.why


def test_what_cannot_be_used_is_left_out_with_the_reason() -> None:
    """Rejected, revoked, for another device, of a format that does not run there, too far from the source."""
    out = [
        form("tflite-int8/cpu", state=FormState.REJECTED),
        form("onnx-fp16/cpu", state=FormState.REVOKED),
        form("onnx-fp16/cuda"),
        form("saved_model-fp32/cpu"),
        form("onnx-int8/cpu", cosine=0.9),
    ]
    choice = chosen(UPLOADED, *out, fidelity=0.99)
    assert choice.form is UPLOADED
    for reason in ("rejected", "revoked", "for cuda", "saved_model", "cosine of 0.9"):
        assert reason in choice.why
    with refused(ErrorCode.STATE_CONFLICT, "rejected"):
        chosen(*out, fidelity=0.99)


def test_a_chain_is_measured_against_what_was_uploaded() -> None:
    """Half the time of something that takes thrice the source's is slower than the source; cosines are multiplied too."""
    slow = form("tflite-fp32/cpu", latency=took(1, 3), cosine=0.995)
    half = form("tflite-int8/cpu", source="tflite-fp32/cpu", latency=took(3, 1.5), cosine=0.995)
    assert chosen(UPLOADED, slow, half).form is UPLOADED
    assert chosen(slow, half).form is half
    assert chosen(UPLOADED, slow, half, objective=Objective.SIZE, fidelity=0.991).form is not half


def test_a_source_that_cannot_run_gives_way_to_the_fastest() -> None:
    """A Keras upload is served as what it was converted to."""
    keras = form("keras-fp32/cpu", state=FormState.SOURCE)
    fast = form("tflite-fp32/cpu", source="keras-fp32/cpu", latency=took(2, 1))
    slow = form("onnx-fp32/cpu", source="keras-fp32/cpu", latency=took(2, 1.5))
    assert chosen(keras, slow, fast, objective=Objective.SOURCE).form is fast

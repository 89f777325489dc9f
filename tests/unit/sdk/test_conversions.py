# SPDX-License-Identifier: Apache-2.0
"""Conversions, calibration data, reports and the choice of a variant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, InvalidRequest, JobFailed, NotFound
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


@pytest.fixture(autouse=True)
def pushed(client: Client, model_file: Path) -> None:
    client.models.push("digits", model_file)


def test_a_conversion_is_waited_for_and_its_report_found(either: Either) -> None:
    """Until it has succeeded there is no report; then there are its numbers, its picture and its form of the version."""
    asked = either(lambda client: client.conversions.create("digits", 1, to="onnx-fp16"))
    assert (asked.state, asked.results) == ("queued", ())
    with pytest.raises(NotFound, match="CONVERT_001"):
        either(lambda client: client.conversions.report(asked.id))
    done = either(lambda client: client.conversions.wait(asked.id))
    (result,) = done.results
    assert (result.variant, result.verdict) == ("onnx-fp16/cpu", "accepted")
    assert either(lambda client: client.conversions.report(asked.id)) == b'{"accepted":true}'
    assert either(lambda client: client.conversions.picture(asked.id, variant=result.variant)) == b"<svg/>"
    assert either(lambda client: client.variants.picture("digits", 1)) == b"<svg/>"
    forms = either(lambda client: client.variants.list("digits", 1))
    assert [(form.name, form.state) for form in forms] == [("onnx-fp32/cpu", "source"), ("onnx-fp16/cpu", "accepted")]
    assert [one.id for one in either(lambda client: client.conversions.list(model="digits", version=1))] == [asked.id]


def test_a_rejected_result_is_a_result(either: Either) -> None:
    """Waiting does not fail; the verdict has the reason and the form has no variant."""
    asked = either(lambda client: client.conversions.create("digits", 1, to="onnx-int8", auto=True))
    (result,) = either(lambda client: client.conversions.wait(asked.id)).results
    assert result.verdict == "rejected: cosine 0.9 is below 0.98"
    assert either(lambda client: client.variants.list("digits", 1))[-1].variant is None


def test_a_failed_conversion_says_why(either: Either, service: FakeService) -> None:
    """Its job's code and message."""
    service.operations.fail_jobs = True
    asked = either(lambda client: client.conversions.create("digits", 1, to="onnx-fp16"))
    with pytest.raises(JobFailed, match="As told"):
        either(lambda client: client.conversions.wait(asked.id))


def test_calibration_data_is_sent_under_its_name(either: Either, tmp_path: Path) -> None:
    """The file's own name, or another one; a file that is not there is told before anything is sent."""
    file = tmp_path / "digits.npz"
    file.write_bytes(b"PK\x03\x04 data")
    kept = either(lambda client: client.calibrations.put("digits", file))
    assert (kept.name, kept.size) == ("digits.npz", 9)
    either(lambda client: client.calibrations.put("digits", file, name="more.npz"))
    names = [one.name for one in either(lambda client: client.calibrations.list("digits"))]
    assert names == ["digits.npz", "more.npz"]
    with pytest.raises(InvalidRequest, match="CLIENT_004"):
        either(lambda client: client.calibrations.put("digits", tmp_path / "none.npz"))


def test_routes_and_the_choice_explain_themselves(either: Either) -> None:
    """A route that cannot be taken says why; a choice says why it and not another."""
    routes = either(lambda client: client.conversions.routes())
    assert [(route.source, route.unavailable) for route in routes.routes] == [("keras", "install tensorflow")]
    choice = either(
        lambda client: client.variants.choose("digits", 1, objective="size", formats=["onnx"], fidelity=0.9)
    )
    assert choice.variant.name in choice.why

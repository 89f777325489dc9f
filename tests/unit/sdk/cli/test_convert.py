# SPDX-License-Identifier: Apache-2.0
"""``furo convert``, ``furo report`` and ``furo devices``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sdk.cli.conftest import Run


@pytest.fixture(autouse=True)
def pushed(run: Run, model_file: Path) -> None:
    assert run("push", str(model_file), "--name", "digits").code == 0


def test_convert_waits_and_shows_how_the_result_compares(run: Run, tmp_path: Path) -> None:
    """Calibration data is sent first; the verdict is in the table; report shows it again, and its picture."""
    (tmp_path / "digits.npz").write_bytes(b"PK\x03\x04 data")
    ran = run("convert", "digits@1", "--to", "onnx-fp16", "--calibration", str(tmp_path / "digits.npz"))
    assert ran.code == 0
    assert "onnx-fp16/cpu" in ran.out
    assert "accepted" in ran.out
    assert "digits.npz" in ran.out
    listed = run("report", "digits@1").out
    assert "onnx-fp32/cpu" in listed
    assert "accepted" in listed
    assert run("report", "digits@1", "onnx-fp16/cpu").json == {"accepted": True}
    assert run("report", "digits@1", "onnx-fp16/cpu", "--picture", str(tmp_path / "report.svg")).code == 0
    assert (tmp_path / "report.svg").read_bytes() == b"<svg/>"
    assert run("report", "digits@1", "onnx-fp64/cpu").code != 0


def test_a_picture_without_a_variant_is_of_all(run: Run, tmp_path: Path) -> None:
    """It is asked of the version, also of one that was never converted, and nothing is listed."""
    ran = run("report", "digits@1", "--picture", str(tmp_path / "all.svg"))
    assert (ran.code, ran.out) == (0, "")
    assert (tmp_path / "all.svg").read_bytes() == b"<svg/>"
    assert run("report", "digits@9", "--picture", str(tmp_path / "none.svg")).code != 0
    assert not (tmp_path / "none.svg").exists()


def test_a_rejected_result_says_why(run: Run) -> None:
    """The reason is in the table; the command itself succeeded."""
    ran = run("convert", "digits", "--to", "onnx-int8", "--auto")
    assert (ran.code, "rejected: cosine 0.9 is below 0.98" in ran.out) == (0, True)


def test_convert_lists_the_routes_and_says_what_it_needs(run: Run) -> None:
    """Every route with the reason where it cannot be taken; without a target it is a usage error."""
    assert "install tensorflow" in run("convert", "--list").out
    assert run("convert", "--list", "--output", "json").json["recipes"][0]["name"] == "onnx_fp16"
    assert run("convert", "digits").code == 2


def test_the_choice_is_explained(run: Run) -> None:
    """The variant and the sentence."""
    shown = run("report", "digits@1", "--choose", "latency").out
    assert "onnx-fp32/cpu" in shown
    assert "was uploaded" in shown


def test_devices_are_those_of_this_machine(run: Run) -> None:
    """What the installed runners tell."""
    assert run("devices", "--output", "json").json["cpu"]["cores"] >= 1

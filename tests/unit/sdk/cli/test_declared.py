# SPDX-License-Identifier: Apache-2.0
"""Tensors of TorchScript files on the command line, and ``furo cancel``."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.unit.sdk.cli.conftest import Run

IMAGE = ("--input", "image:FP32:-1,1,8,8")
SCORES = ("--result", "scores:FP32:-1,10")


def script(folder: Path, *entries: str) -> Path:
    """An archive with these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry in ("model/constants.pkl", *entries):
            archive.writestr(entry, b"{}")
    (folder / "model.pt").write_bytes(buffer.getvalue())
    return folder / "model.pt"


def test_tensors_become_a_file_beside_the_model(run: Run, tmp_path: Path) -> None:
    """What is named is pushed as signature.json, under the file's own folder."""
    pushed = run("push", str(script(tmp_path)), "--name", "digits", *IMAGE, *SCORES, "-o", "json")
    assert [file["path"] for file in pushed.json["files"]] == ["model.pt", "signature.json"]
    assert (tmp_path / "signature.json").exists() is False


def test_a_file_that_does_not_say_its_tensors_is_not_sent(run: Run, tmp_path: Path) -> None:
    """A usage error that names the options; so is one side without the other, and what is no tensor."""
    file = str(script(tmp_path))
    for given in ((), IMAGE, SCORES):
        ran = run("push", file, "--name", "digits", *given)
        assert (ran.code, "--input image:FP32:-1,1,8,8 --result scores:FP32:-1,10" in ran.err) == (2, True)
    for wrong in ("image", "image:FP32", "image:fp32:1", "image:FP32:1,", "image:FP32:a", ":FP32:1"):
        ran = run("push", file, "--name", "digits", "--input", wrong, *SCORES)
        assert (ran.code, "NAME:DATATYPE:SHAPE" in ran.err) == (2, True)
    assert run("models", "-o", "json").json == []


@pytest.mark.parametrize("entries", [("model/extra/signature.json",), ()])
def test_what_says_them_itself_needs_no_options(run: Run, tmp_path: Path, entries: tuple[str, ...]) -> None:
    """A signature in the archive, or beside the file in a folder that is pushed."""
    source = script(tmp_path, *entries)
    if not entries:
        (tmp_path / "signature.json").write_bytes(b"{}")
        source = tmp_path
    assert run("push", str(source), "--name", "digits").code == 0


def test_cancel_ends_a_job(run: Run, model_file: Path) -> None:
    """It shows the job; one there is not is exit code 5."""
    assert run("push", str(model_file), "--name", "digits").code == 0
    job = run("convert", "digits@1", "--to", "onnx-fp16", "--no-wait", "-o", "json").json["job_id"]
    assert "cancelled" in run("cancel", job).out
    assert run("cancel", "nothing").code == 5


def test_bounds_are_sent(run: Run, model_file: Path) -> None:
    """By name, with a number or none; anything else is a usage error."""
    assert run("push", str(model_file), "--name", "digits").code == 0
    asked = ("convert", "digits@1", "--to", "onnx-fp16", "--no-wait", "-o", "json")
    made = run(*asked, "--threshold", "cosine=0.999", "--threshold", "top1_agreement=none")
    assert made.json["thresholds"] == {"cosine": 0.999, "top1_agreement": None}
    assert run(*asked, "--threshold", "cosine").code == 2

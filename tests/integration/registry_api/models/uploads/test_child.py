# SPDX-License-Identifier: Apache-2.0
"""The real child that inspects models, under its limits."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import psutil
import pytest

from registry_api.models.uploads.child import ChildLimits, inspect_in_child
from tests.integration.registry_api.rest import tiny_onnx

ROOMY = ChildLimits(wall_seconds=60, memory_bytes=8 << 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    path.mkdir()
    (path / "model.onnx").write_bytes(tiny_onnx())
    return path


async def test_a_good_model_is_described(folder: Path) -> None:
    """Status 0 and one JSON object."""
    result = await inspect_in_child(folder, ROOMY)
    assert result.status == 0, result.stderr
    assert orjson.loads(result.answer)["precision"] == "fp32"


async def test_a_child_that_takes_too_long_is_killed_with_its_group(folder: Path) -> None:
    """TimeoutError, and no child is left."""
    before = psutil.Process(os.getpid()).children()
    with pytest.raises(TimeoutError):
        await inspect_in_child(folder, ChildLimits(wall_seconds=0.05, memory_bytes=8 << 30))
    assert psutil.Process(os.getpid()).children() == before


async def test_a_child_that_needs_too_much_memory_fails_alone(folder: Path) -> None:
    """It cannot even load the runtime in 64 MiB; the status says so."""
    result = await inspect_in_child(folder, ChildLimits(wall_seconds=60, memory_bytes=64 << 20))
    assert result.status != 0


async def test_the_child_sees_no_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on PYTHONPATH that holds another ``runners`` is not used, and secrets are not passed on."""
    (folder.parent / "elsewhere" / "runners").mkdir(parents=True)
    (folder.parent / "elsewhere" / "runners" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.setenv("PYTHONPATH", str(folder.parent / "elsewhere"))
    monkeypatch.setenv("FUROSHIKI_SECRET", "x")
    assert (await inspect_in_child(folder, ROOMY)).status == 0


async def test_nothing_that_was_uploaded_or_lies_beside_it_is_executed(folder: Path) -> None:
    """Modules named like those the child imports stay files."""
    for place in (folder, folder.parent):
        for name in ("runners", "core", "onnxruntime", "numpy", "orjson"):
            (place / name).mkdir()
            (place / name / "__init__.py").write_text("raise SystemExit(9)")
        for name in ("sitecustomize.py", "usercustomize.py", "argparse.py"):
            (place / name).write_text("raise SystemExit(9)")
    result = await inspect_in_child(folder, ROOMY)
    assert result.status == 0, result.stderr

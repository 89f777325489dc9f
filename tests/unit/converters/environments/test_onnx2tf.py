# SPDX-License-Identifier: Apache-2.0
"""The environment of onnx2tf: found, made once, or refused with the reason."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from converters.environments import onnx2tf
from core.errors import ErrorCode, Unavailable


def made(state: Path) -> Path:
    """An environment as a finished making leaves it."""
    where = onnx2tf.folder(state)
    (where / "bin").mkdir(parents=True)
    (where / "bin" / "python").touch()
    (where / "furoshiki-ready").touch()
    return where


def test_its_folder_is_named_after_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another lock is another environment."""
    first = onnx2tf.folder(tmp_path)
    other = tmp_path / "onnx2tf.txt"
    other.write_text("onnx2tf==0\n")
    monkeypatch.setattr(onnx2tf, "LOCK", other)
    assert first.parent == tmp_path
    assert onnx2tf.folder(tmp_path) != first


def test_the_state_folder_is_what_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable first, then the user's cache."""
    monkeypatch.setenv(onnx2tf.STATE_VARIABLE, str(tmp_path / "named"))
    assert onnx2tf.state_folder() == tmp_path / "named"
    monkeypatch.delenv(onnx2tf.STATE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert onnx2tf.state_folder() == tmp_path / "furoshiki" / "environments"


def test_a_made_one_is_taken(tmp_path: Path) -> None:
    """Nothing is made where it is there."""
    where = made(tmp_path)
    assert onnx2tf.ensure(tmp_path) == where / "bin" / "python"


def test_a_half_made_one_is_none(tmp_path: Path) -> None:
    """What a killed process left is not taken for an environment."""
    where = made(tmp_path)
    (where / "furoshiki-ready").unlink()
    assert onnx2tf.python(tmp_path) is None


def test_without_pip_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither made nor makable: unavailable up front."""
    monkeypatch.setenv(onnx2tf.STATE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert onnx2tf.available() == "its environment is not made and pip, which makes it, is not installed"


def test_a_making_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool's own words are in a coded error, with what to do, and nothing is taken for made."""
    tool = tmp_path / "python"
    tool.write_text("#!/bin/sh\necho 'no route to the index' >&2\nexit 2\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tool))
    with pytest.raises(Unavailable, match="no route to the index") as caught:
        onnx2tf.ensure(tmp_path / "state")
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    assert "python -m converters prepare" in caught.value.message
    assert onnx2tf.python(tmp_path / "state") is None

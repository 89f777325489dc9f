# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2, exported once per session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runners.backends.onnx.backend import OnnxBackend, OnnxRunner
from runners.interface import RunnerOptions

if TYPE_CHECKING:
    from deploy.local.minilm import MiniLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The model in process, its ONNX file, and how far the export said they are apart."""

    model: MiniLM
    file: Path
    error: float


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from deploy.local.minilm import MiniLM  # needs the packages of deploy/locks/full.in; `make test` installs them

    model = MiniLM()
    file = tmp_path_factory.mktemp("minilm") / "minilm.onnx"
    return Exported(model=model, file=file, error=model.export(file))


@pytest.fixture
def runner(minilm: Exported) -> Iterator[OnnxRunner]:
    runner = OnnxBackend().load({"minilm.onnx": minilm.file.read_bytes()}, options=RunnerOptions())
    yield runner
    runner.close()

# SPDX-License-Identifier: Apache-2.0
"""Models pushed and converted once for all tests of this folder, through ``furo``. The worker does two jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import pytest

from deploy.local.stack import LocalStack
from tests.e2e.registry_api.conversions.furo import Furo
from tests.e2e.registry_api.conversions.sources import Source, save_sources

T = TypeVar("T")

CONVERSIONS: Final = (
    ("keras-digits", "tflite-int8"),
    ("export-digits", "tflite-int8"),
    ("keras-digits", "onnx"),
    ("export-digits", "onnx"),
    ("script-digits", "onnx"),
)
AUTO: Final = ("script-digits", "onnx")  # with every sensible precision beside the one asked for
REJECTED: Final = "onnx-int8dyn/cpu"  # of "export-digits", by bounds that nothing keeps


@pytest.fixture(scope="session")
def furo(stack: LocalStack) -> Furo:
    return Furo(stack)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    return save_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def pushed(furo: Furo, sources: dict[str, Source]) -> dict[str, Any]:
    """Versions by model."""

    def push(model: str) -> Any:
        source = sources[model]
        return furo.ok("push", str(source.path), "--name", model, *source.options)

    return dict(zip(sources, at_once(push, sources), strict=True))


@pytest.fixture(scope="session")
def converted(furo: Furo, pushed: dict[str, Any], sources: dict[str, Source]) -> dict[tuple[str, str], Any]:
    """Conversions by model and target."""

    def convert(wanted: tuple[str, str]) -> Any:
        model, to = wanted
        calibration = ("--calibration", str(sources[model].calibration))
        options = (*calibration, *(("--auto",) if wanted == AUTO else ()))
        return furo.ok("convert", f"{model}@{pushed[model]['version']}", "--to", to, *options)

    return dict(zip(CONVERSIONS, at_once(convert, CONVERSIONS), strict=True))


@pytest.fixture(scope="session")
def rejected(furo: Furo, converted: dict[tuple[str, str], Any]) -> Any:
    """A conversion whose result is not accepted."""
    assert ("export-digits", "onnx") in converted
    bounds = ("--threshold", "cosine=1", "--threshold", "mean_relative=0")
    return furo.ok(
        *("convert", "export-digits@1", "--variant", "onnx-fp32/cpu", "--to", REJECTED.partition("/")[0], *bounds)
    )


def at_once(work: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """Two at a time, in their order."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(work, items))

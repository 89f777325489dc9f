# SPDX-License-Identifier: Apache-2.0
"""From a pushed Keras or torch model to a served Bento of a converted variant, all of it real."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from core.tensors import Array
from loadtests.servers import bentoml_serve
from registry_api.settings.worker import WorkerSettings
from tests.integration.converters import models
from tests.integration.registry_api.bench import Bench, open_bench

ROWS = 200  # of calibration data
TESTED = 64
AGREEMENT = {"tflite-int8/cpu": 0.9, "onnx-fp32/cpu": 1.0}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path / "home", WorkerSettings()) as bench:
        yield bench


def images(source: str) -> Array:
    """Digits as that source takes them."""
    found, _ = models.digits()
    return found if source == "keras" else np.ascontiguousarray(found.transpose(0, 3, 1, 2))


def expected(source: str, given: Array) -> Array:
    """The classes that the source itself says."""
    if source == "keras":
        scores = np.asarray(models.keras_of("digits")(given))
    else:
        import torch

        scores = models.torch_module("digits")(torch.from_numpy(given)).detach().numpy()
    return np.asarray(scores.argmax(1))


async def pushed(bench: Bench, source: str) -> dict[str, Any]:
    """The version, and calibration data of its model."""
    made = models.keras_archive("digits") if source == "keras" else models.torch_export("digits")
    await bench.api.ok("POST", "/models", json={"name": "digits"})
    version: dict[str, Any] = await bench.api.push("digits", made.files)
    (given,) = version["inputs"]
    data = io.BytesIO()
    arrays: dict[str, Any] = {given["name"]: images(source)[:ROWS]}
    np.savez(data, **arrays)
    await bench.api.ok("PUT", "/models/digits/calibrations/digits.npz", content=data.getvalue())
    return version


async def converted(bench: Bench, to: str, **fields: Any) -> dict[str, Any]:
    """The only result of a conversion."""
    where = "/models/digits/versions/1/conversions"
    asked = await bench.api.ok("POST", where, json={"to": to, **fields})
    job = await bench.ended(asked["job_id"])
    assert job["state"] == "succeeded", await bench.text(f"/jobs/{asked['job_id']}/log")
    (result,) = (await bench.api.ok("GET", f"/conversions/{asked['id']}"))["results"]
    return dict(result)


@pytest.mark.parametrize("source", ["keras", "torch_export"])
async def test_a_pushed_model_is_converted_built_and_served(bench: Bench, source: str, tmp_path: Path) -> None:
    """TFLite int8 and ONNX: each is accepted, each Bento asks for its own runtime only, each answers as the source does."""
    version = await pushed(bench, source)
    assert version["format"] == source
    given = images(source)[-TESTED:]
    async with bench.working():
        for to, fields in (("tflite-int8", {"calibration": "digits.npz"}), ("onnx", {})):
            result = await converted(bench, to, **fields)
            assert result["accepted"], result
            build = await bench.build(variant=result["variant"])
            assert build["state"] == "succeeded", build
            classes = served(bench, build, result, version, given, tmp_path / to)
            agreement = float(np.mean(classes == expected(source, given)))
            assert agreement >= AGREEMENT[result["variant"]], (source, to, agreement)


def served(
    bench: Bench, build: dict[str, Any], result: dict[str, Any], version: dict[str, Any], given: Array, log: Path
) -> Array:
    """The classes that a Bento says."""
    home = bench.api.platform.settings.bentoml_home
    name, tag = build["tag"].split(":")
    requirements = (home / "bentos" / name / tag / "env" / "python" / "requirements.txt").read_text()
    assert ("onnxruntime" in requirements) is result["variant"].startswith("onnx")
    assert ("ai-edge-litert" in requirements) is result["variant"].startswith("tflite")
    body = {"model": "digits", "inputs": {version["inputs"][0]["name"]: given.tolist()}}
    environment = {"BENTOML_HOME": str(home), "FUROSHIKI_AUTH__MODE": "open"}
    with bentoml_serve(build["tag"], environment=environment, log=log, ready="/v2/health/ready") as url:
        answer = httpx.post(f"{url}/v1/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["digest"] == result["digest"]
    (scores,) = answer.json()["outputs"].values()
    classes: Array = np.asarray(scores).argmax(1)
    return classes

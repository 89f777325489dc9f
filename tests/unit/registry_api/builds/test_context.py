# SPDX-License-Identifier: Apache-2.0
"""The folder a Bento is built from holds what it must and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.formats import FORMATS
from artifacts.testing import refused
from core.errors import ErrorCode
from registry_api.builds.context import ACCELERATED, LOCKS, TFLITE, Blueprint


def _blueprint(root: Path) -> Blueprint:
    for path in ("core/__init__.py", "core/__pycache__/x.pyc", "core/.secret", "services/app.py", "tests/t.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / "serving.txt").write_text("bentoml==1.4.39\n")
    (root / "serving-litert.txt").write_text("bentoml==1.4.39\nai-edge-litert==2.3.0\n")
    return Blueprint(root=root, code=("core", "services"), locks=root, service="services.app:App")


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_code_trust_wheel_and_requirements_are_staged(tmp_path: Path) -> None:
    """Caches, hidden files and other packages stay out; the wheel is among the requirements, with its hash."""
    (tmp_path / "sdk-1.whl").write_bytes(b"wheel")
    blueprint = _blueprint(tmp_path / "root")
    blueprint.stage(
        tmp_path / "context",
        model_format="onnx",
        device="cpu",
        tenant="acme",
        trust=b"{}",
        wheel=tmp_path / "sdk-1.whl",
    )
    assert _files(tmp_path / "context") == {
        "core/__init__.py",
        "services/app.py",
        "trust/acme.json",
        "wheels/sdk-1.whl",
        "requirements.txt",
    }
    pins = f"bentoml==1.4.39\n./wheels/sdk-1.whl --hash={digest_bytes(b'wheel')}\n"
    assert (tmp_path / "context" / "requirements.txt").read_text() == pins


def test_without_a_wheel_the_requirements_are_the_lock(tmp_path: Path) -> None:
    """The pinned requirements are copied as they are."""
    _blueprint(tmp_path / "root").stage(
        tmp_path / "context", model_format="onnx", device="cpu", tenant="acme", trust=b"{}", wheel=None
    )
    assert (tmp_path / "context" / "requirements.txt").read_text() == "bentoml==1.4.39\n"


def test_the_requirements_are_those_of_the_runtime(tmp_path: Path) -> None:
    """A TFLite model brings LiteRT and nothing else; what no runner loads is refused."""
    blueprint = _blueprint(tmp_path / "root")
    blueprint.stage(tmp_path / "context", model_format="tflite", device="cpu", tenant="acme", trust=b"{}", wheel=None)
    assert "ai-edge-litert" in (tmp_path / "context" / "requirements.txt").read_text()
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "keras"):
        blueprint.stage(tmp_path / "other", model_format="keras", device="cpu", tenant="acme", trust=b"{}", wheel=None)


@pytest.mark.parametrize("distribution", TFLITE)
def test_tflite_is_served_by_what_the_operator_chose(tmp_path: Path, distribution: str) -> None:
    """The requirements pin that runtime."""
    (tmp_path / "context").mkdir()
    blueprint = Blueprint(code=(), runtimes={"tflite": TFLITE[distribution]})
    blueprint.stage(tmp_path / "context", model_format="tflite", device="cpu", tenant="acme", trust=b"{}", wheel=None)
    lines = (tmp_path / "context" / "requirements.txt").read_text().splitlines()
    assert distribution in {line.partition("==")[0] for line in lines}


@pytest.mark.parametrize(
    ("model_format", "device", "runtime"),
    [("onnx", "cuda", "onnxruntime-gpu"), ("onnx", "tensorrt", "onnxruntime-gpu"), ("onnx", "openvino", "onnxruntime")],
)
def test_a_variant_for_a_gpu_is_served_with_cuda(tmp_path: Path, model_format: str, device: str, runtime: str) -> None:
    """CUDA's runtime libraries come with it; variants for anything else are served as on processors."""
    (tmp_path / "context").mkdir()
    Blueprint(code=()).stage(
        tmp_path / "context", model_format=model_format, device=device, tenant="acme", trust=b"{}", wheel=None
    )
    lines = (tmp_path / "context" / "requirements.txt").read_text().splitlines()
    assert runtime in {line.partition("==")[0] for line in lines}


def test_every_format_that_runs_has_a_lock_with_its_runtime_only() -> None:
    """The locks of the installation exist; each has one of the six runtimes."""
    assert set(LOCKS) == {name for name, form in FORMATS.items() if form.executable}
    runtimes = ("onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime", "tensorflow-cpu", "torch")
    for lock in {*LOCKS.values(), *TFLITE.values(), *ACCELERATED.values()}:
        lines = (Blueprint().locks / lock).read_text().splitlines()
        assert len({line.partition("==")[0] for line in lines} & set(runtimes)) == 1, lock


def test_patterns_are_anchored_at_the_context(tmp_path: Path) -> None:
    """A folder of the same name deeper down is not meant."""
    folders = ("/core/**", "/services/**", "/model/**", "/trust/**", "/wheels/**")
    assert _blueprint(tmp_path).include == (*folders, "/tuning.json")

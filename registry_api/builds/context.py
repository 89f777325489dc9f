# SPDX-License-Identifier: Apache-2.0
"""The folder a Bento is built from: our code, one verified bundle, the tenant's trust, pinned requirements.

core/ artifacts/ runners/ services/   code, copied from the running installation
model/                                the bundle: manifest.json, model.sig, files
tuning.json                           how the model runs fastest, if it was measured
trust/<tenant>.json                   whose signatures count; the deployer may point at a fresher copy
wheels/                               our SDK, as a wheel
requirements.txt                      the lock of the model's runtime, and no other, and the wheel, each with its hash
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifacts.digest import digest_bytes
from artifacts.tuning import TUNING_NAME
from core.errors import ErrorCode, Unavailable
from registry_api.jobs.process import INSTALLATION

LOCKS: Final[Mapping[str, str]] = {
    "onnx": "serving.txt",
    "tflite": "serving-litert.txt",
    "saved_model": "serving-tensorflow.txt",
    "torchscript": "serving-torch.txt",
    "torch_export": "serving-torch.txt",
}
"""What serves a model of each format, below ``Blueprint.locks``."""
TFLITE: Final[Mapping[str, str]] = {
    "ai-edge-litert": LOCKS["tflite"],
    "tflite-runtime": "serving-tflite-runtime.txt",  # with numpy 1.26: for devices that have wheels of no other
}
"""What may serve TFLite models, by distribution."""
ACCELERATED: Final[Mapping[str, str]] = {"onnx": "serving-cuda.txt"}
"""What serves a model of a format on NVIDIA GPUs; those of other formats are served as on processors."""
_GPUS: Final = ("cuda", "tensorrt")
CODE: Final = ("core", "artifacts", "runners", "services")
SERVICE: Final = "services.inference.service:Inference"
_FOLDERS: Final = ("model", "trust", "wheels")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What every Bento has in common: where its code and requirements are, and what it starts."""

    root: Path = INSTALLATION
    code: Sequence[str] = CODE  # packages below ``root``
    locks: Path = INSTALLATION / "deploy" / "locks"
    runtimes: Mapping[str, str] = field(default_factory=lambda: LOCKS)  # file in ``locks`` by format
    accelerated: Mapping[str, str] = field(default_factory=lambda: ACCELERATED)  # the same, for GPUs
    service: str = SERVICE

    @property
    def include(self) -> tuple[str, ...]:
        """Patterns of everything that goes into the Bento."""
        return (*(f"/{folder}/**" for folder in (*self.code, *_FOLDERS)), f"/{TUNING_NAME}")

    def stage(
        self, context: Path, *, model_format: str, device: str, tenant: str, trust: bytes, wheel: Path | None
    ) -> None:
        """Writes everything but ``model/`` and ``tuning.json`` into ``context``.

        Args:
            context: The folder.
            model_format: Of the variant.
            device: What the variant is for, such as ``cpu``.
            tenant: Whose variant it is.
            trust: The tenant's trust policy.
            wheel: Of our SDK; None: there is none.

        Raises:
            Unavailable: ``DEVICE_001`` if no runner loads the format.
            OSError: A file is missing or cannot be written.
        """
        lock = (self.accelerated if device in _GPUS else {}).get(model_format, self.runtimes.get(model_format))
        if lock is None:
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE, f"No runner loads format {model_format!r}; convert it first."
            )
        for package in self.code:
            shutil.copytree(self.root / package, context / package, ignore=_LEFT_OUT)
        (context / "trust").mkdir()
        (context / "trust" / f"{tenant}.json").write_bytes(trust)
        lines = (self.locks / lock).read_text().rstrip("\n")
        if wheel is not None:
            (context / "wheels").mkdir()
            shutil.copy2(wheel, context / "wheels")
            lines += f"\n./wheels/{wheel.name} --hash={digest_bytes(wheel.read_bytes())}"
        (context / "requirements.txt").write_text(lines + "\n")

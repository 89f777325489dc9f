# SPDX-License-Identifier: Apache-2.0
"""Our own backends, as plugins, in the order of preference for a format and device. Importing this imports no runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata, util
from typing import Any, Final

from runners.hardware.cuda import cuda_absent
from runners.hardware.delegates import DELEGATES, Delegate, library_of
from runners.hardware.edgetpu import edge_tpu_absent
from runners.interface import PORT_VERSION, Backend, RunnerPlugin


def _always() -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """One of our backends."""

    name: str
    formats: frozenset[str]
    device: str
    modules: tuple[str, ...]  # any one of which is the runtime
    remedy: str  # what to install if there is none
    distribution: str | None = None  # the one build of the runtime that has this device; None: every one
    made_by: tuple[str, str]  # module and class of the backend
    arguments: tuple[Any, ...] = ()
    hardware: Callable[[], str | None] = _always  # why the device is not there

    @property
    def port(self) -> int:
        return PORT_VERSION

    def is_available(self) -> str | None:
        if not any(_installed(module) for module in self.modules):
            return f"{' or '.join(self.modules)} is not installed; {self.remedy}"
        if self.distribution is not None and not _distributed(self.distribution):
            return f"{self.distribution} is not installed; {self.remedy}"
        return self.hardware()

    def backend(self) -> Backend:
        module, name = self.made_by
        made: Backend = getattr(import_module(module), name)(*self.arguments)
        return made


def _installed(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):  # of the package a submodule lies in
        return False


def _distributed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _onnx(device: str, build: str | None = None, hardware: Callable[[], str | None] = _always) -> Builtin:
    return Builtin(
        name=f"onnx-{device}",
        formats=frozenset({"onnx"}),
        device=device,
        modules=("onnxruntime",),
        remedy="install onnxruntime" if build is None else f"install {build} in place of onnxruntime",
        distribution=build,
        made_by=("runners.backends.onnx.backend", "OnnxBackend"),
        arguments=(device,),
        hardware=hardware,
    )


def _litert(delegate: Delegate | None) -> Builtin:
    device = "cpu" if delegate is None else delegate.device

    def hardware() -> str | None:
        if delegate is None:
            return None
        return library_of(delegate).reason or (edge_tpu_absent() if device == "edgetpu" else None)

    return Builtin(
        name=f"litert-{device}",
        formats=frozenset({"tflite"}),
        device=device,
        modules=("ai_edge_litert", "tflite_runtime"),
        remedy="install ai-edge-litert",
        made_by=("runners.backends.litert.backend", "LitertBackend"),
        arguments=(delegate,),
        hardware=hardware,
    )


def cuda_build(version: str) -> str | None:
    """None if a version of torch may be built for CUDA, else why it is not."""
    if version.endswith("+cpu"):
        return f"torch {version} is built for the CPU only; install a build for CUDA"
    return None


def _torch_cuda() -> str | None:
    return cuda_absent() or cuda_build(metadata.version("torch"))


def _torch(device: str, hardware: Callable[[], str | None] = _always) -> Builtin:
    return Builtin(
        name=f"torch-{device}",
        formats=frozenset({"torchscript", "torch_export"}),
        device=device,
        modules=("torch",),
        remedy="install torch",
        made_by=("runners.backends.torch.backend", "TorchBackend"),
        arguments=(device,),
        hardware=hardware,
    )


BUILTIN: Final[tuple[RunnerPlugin, ...]] = (
    _onnx("cpu"),
    _onnx("tensorrt", "onnxruntime-gpu", cuda_absent),
    _onnx("cuda", "onnxruntime-gpu", cuda_absent),
    _onnx("openvino", "onnxruntime-openvino"),
    _litert(None),
    *(_litert(delegate) for delegate in DELEGATES),
    Builtin(
        name="tensorflow-cpu",
        formats=frozenset({"saved_model"}),
        device="cpu",
        modules=("tensorflow",),
        remedy="install tensorflow-cpu",
        made_by=("runners.backends.tensorflow.backend", "TensorflowBackend"),
    ),
    _torch("cpu"),
    _torch("cuda", _torch_cuda),
)

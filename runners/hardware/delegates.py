# SPDX-License-Identifier: Apache-2.0
"""LiteRT delegates by name: the shared library that each comes in, and whether it is on this machine.

A library is looked for in the folders of the dynamic loader only, never in a bundle or the working directory: a delegate is
native code. ``FUROSHIKI_DELEGATE_<NAME>`` may name its absolute path instead. What is loaded must have the two functions of
TensorFlow Lite's external delegates: a runtime that calls them in a library without fails, or worse. Names and options as
documented by Coral (libedgetpu), Arm (Arm NN, Ethos-U), VeriSilicon (vx-delegate), Qualcomm (QNN) and TensorFlow (GPU
delegate); the functions by tensorflow/lite/delegates/external/external_delegate_interface.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_FUNCTIONS: Final = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """One delegate."""

    device: str  # as in the name of a variant
    described: str
    library: str  # what the dynamic loader is asked for
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """The environment variable that may name the library's path."""
        return f"FUROSHIKI_DELEGATE_{self.device.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Where a delegate's library is."""

    path: str  # what to load
    reason: str | None  # why it cannot be; None: it can


DELEGATES: Final = (
    Delegate(device="edgetpu", described="Coral Edge TPU", library="libedgetpu.so.1"),
    Delegate(device="gpu", described="GPU through OpenCL", library="libtensorflowlite_gpu_delegate.so"),
    Delegate(device="vx", described="NPU through OpenVX (NXP, VeriSilicon)", library="libvx_delegate.so"),
    Delegate(device="ethosu", described="Arm Ethos-U NPU", library="libethosu_delegate.so"),
    Delegate(
        device="armnn",
        described="Arm NN",
        library="libarmnnDelegate.so",
        options={"backends": "GpuAcc,CpuAcc,CpuRef"},
    ),
    Delegate(
        device="qnn",
        described="Qualcomm NPU",
        library="libQnnTFLiteDelegate.so",
        options={"backend_type": "htp"},
    ),
)


def library_of(delegate: Delegate, environment: Mapping[str, str] = os.environ) -> Library:
    """Whether a delegate's library can be used. Loads it: nothing else tells whether what it needs is there too."""
    path = environment.get(delegate.variable, delegate.library)
    if path != delegate.library and not os.path.isabs(path):
        return Library(path=path, reason=f"{delegate.variable} is {path!r}; expected an absolute path")
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        return Library(path=path, reason=" ".join(str(error).split())[:200])
    missing = [name for name in _FUNCTIONS if not hasattr(library, name)]
    if missing:
        return Library(path=path, reason=f"{path} is no LiteRT delegate: it has no function {missing[0]}")
    return Library(path=path, reason=None)

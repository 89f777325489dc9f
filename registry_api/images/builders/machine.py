# SPDX-License-Identifier: Apache-2.0
"""Which architectures this machine runs: its own, and those that the kernel was given an emulator for (binfmt_misc)."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}  # what the kernel calls the architectures of image platforms
_EMULATORS: Final = Path("/proc/sys/fs/binfmt_misc")


def own_architecture() -> str:
    """This machine's, as image platforms name it: ``amd64`` or ``arm64``."""
    here = platform.machine()
    return next((name for name, machine in MACHINES.items() if machine == here), here)


def runs(architecture: str, *, emulators: Path = _EMULATORS) -> bool:
    """Whether programs of an image of ``architecture`` run here."""
    emulated = architecture in MACHINES and (emulators / f"qemu-{MACHINES[architecture]}").exists()
    return architecture == own_architecture() or emulated

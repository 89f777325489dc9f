# SPDX-License-Identifier: Apache-2.0
"""Which architectures this machine runs: its own, and those that the kernel was given an emulator for (binfmt_misc)."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_EMULATORS: Final = Path("/proc/sys/fs/binfmt_misc")


def own_architecture() -> str:
    """This machine's, as image platforms name it: ``amd64`` or ``arm64``."""
    return _MACHINES.get(platform.machine(), platform.machine())


def runs(architecture: str, *, emulators: Path = _EMULATORS) -> bool:
    """Whether programs of an image of ``architecture`` run here."""
    names = (f"qemu-{machine}" for machine, name in _MACHINES.items() if name == architecture)
    return architecture == own_architecture() or any((emulators / name).exists() for name in names)

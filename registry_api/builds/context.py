# SPDX-License-Identifier: Apache-2.0
"""The folder a Bento is built from: our code, one verified bundle, the tenant's trust, pinned requirements.

core/ artifacts/ runners/ services/   code, copied from the running installation
model/                                the bundle: manifest.json, model.sig, files
tuning.json                           how the model runs fastest, if it was measured
trust/<tenant>.json                   whose signatures count; the deployer may point at a fresher copy
wheels/                               our SDK, as a wheel
requirements.txt                      deploy/locks/serving.txt and the wheel
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import core
from artifacts.tuning import TUNING_NAME

INSTALLATION: Final = Path(core.__file__).resolve().parents[1]
CODE: Final = ("core", "artifacts", "runners", "services")
SERVICE: Final = "services.inference.service:Inference"
_FOLDERS: Final = ("model", "trust", "wheels")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What every Bento has in common: where its code and requirements are, and what it starts."""

    root: Path = INSTALLATION
    code: Sequence[str] = CODE  # packages below ``root``
    requirements: Path = INSTALLATION / "deploy" / "locks" / "serving.txt"
    service: str = SERVICE

    @property
    def include(self) -> tuple[str, ...]:
        """Patterns of everything that goes into the Bento."""
        return (*(f"/{folder}/**" for folder in (*self.code, *_FOLDERS)), f"/{TUNING_NAME}")

    def stage(self, context: Path, *, tenant: str, trust: bytes, wheel: Path | None) -> None:
        """Writes everything but ``model/`` and ``tuning.json`` into ``context``.

        Raises:
            OSError: A file is missing or cannot be written.
        """
        for package in self.code:
            shutil.copytree(self.root / package, context / package, ignore=_LEFT_OUT)
        (context / "trust").mkdir()
        (context / "trust" / f"{tenant}.json").write_bytes(trust)
        lines = self.requirements.read_text().rstrip("\n")
        if wheel is not None:
            (context / "wheels").mkdir()
            shutil.copy2(wheel, context / "wheels")
            lines += f"\n./wheels/{wheel.name}"
        (context / "requirements.txt").write_text(lines + "\n")

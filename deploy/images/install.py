# SPDX-License-Identifier: Apache-2.0
"""Runs inside the first stage of ``Containerfile``, by the image's own Python: installs wheels into a folder, and compiles.

``install.py WHEELS FOLDER PREFIX``. pip, the list of pins and the two modules that are imported lie beside this file. A wheel
whose hash the list does not name is not installed.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from bytecode import compile_all  # type: ignore[import-not-found] # beside this file, in the context of the build
from tidying import tidy  # type: ignore[import-not-found]


def main(wheels: Path, folder: Path, prefix: str) -> None:
    """Installs what is pinned, from ``wheels``; ``folder`` will lie at ``prefix``."""
    os.chdir(wheels.parent)  # pins of the Bento's own wheels begin with ./wheels/
    sys.argv = ["pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-index", "--no-cache-dir"]
    sys.argv += ["--root-user-action", "ignore", "--target", str(folder), "--require-hashes"]
    sys.argv += ["--find-links", str(wheels), "--requirement", str(Path(__file__).parent / "requirements.txt")]
    try:
        runpy.run_module("pip", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    tidy(folder)
    compile_all(folder, prefix)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

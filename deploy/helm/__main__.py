# SPDX-License-Identifier: Apache-2.0
"""``python -m deploy.helm``: writes the chart's README and the golden files. With ``--check`` it only compares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deploy.helm.readme import readme
from deploy.helm.rendering import CHART, HERE, PROFILES, golden


def generated() -> dict[Path, Callable[[], str]]:
    """Every generated file, and what makes its text."""
    pages: dict[Path, Callable[[], str]] = {CHART / "README.md": readme}
    for name in PROFILES:
        pages[HERE / "golden" / f"{name}.yaml"] = partial(golden, name)
    return pages


def main() -> int:
    """Exit code 1 if something is out of date, with ``--check``."""
    check = "--check" in sys.argv
    stale = []
    for path, make in generated().items():
        text = make()
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale and check:
        print(f"Out of date: {', '.join(stale)}. Run: make charts", file=sys.stderr)
    return int(bool(stale) and check)


if __name__ == "__main__":
    sys.exit(main())

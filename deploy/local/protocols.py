# SPDX-License-Identifier: Apache-2.0
"""``make proto``: generates the Python code beside every ``.proto`` file under ``services/``.

The code is checked in, so that serving needs no compiler. ``--check`` changes nothing and fails if a file is not what the
compiler of this environment writes. gRPC stubs are not generated: the server names its handlers itself, and
``services.grpc_v2.testing`` makes a client from the descriptors.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_HEADER: Final = "# SPDX-License-Identifier: Apache-2.0\n"


class NotCompiled(Exception):
    """The compiler refused a file; it has said why on stderr."""


def generate(root: Path = ROOT) -> dict[Path, str]:
    """What belongs beside each ``.proto`` file, by path below ``root``.

    Raises:
        NotCompiled: If a file is not valid.
    """
    from grpc_tools import protoc

    sources = sorted(path.relative_to(root).as_posix() for path in (root / "services").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--proto_path={root}", f"--python_out={folder}", f"--pyi_out={folder}", *sources]
        if protoc.main(["protoc", *arguments]):
            raise NotCompiled(", ".join(sources))
        made = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
        return {path.relative_to(folder): _HEADER + path.read_text() for path in made}


def outdated(root: Path = ROOT) -> list[Path]:
    """Generated files that are missing or differ from what the compiler writes."""
    return [
        path
        for path, text in generate(root).items()
        if not (root / path).is_file() or (root / path).read_text() != text
    ]


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        stale = outdated()
        for path in stale:
            print(f"{path} is not current; run `make proto`.", file=sys.stderr)
        return 1 if stale else 0
    for path, text in generate().items():
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

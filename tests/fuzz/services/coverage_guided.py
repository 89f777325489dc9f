# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.fuzz.services.coverage_guided TARGET FOLDER [libFuzzer options]``: atheris looks for new paths by itself.

Needs the environment of ``deploy/locks/fuzz.txt``. ``FOLDER`` keeps the corpus between runs and is filled with valid requests
at first. libFuzzer ends the process: with 0 after ``-runs=N``, otherwise with the input that failed written to a file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["core", "services"]):
    from tests.fuzz.services.seeds import SIGNATURES
    from tests.fuzz.services.targets import TARGETS, outcome

_LONGEST = 4096  # bytes of one input


def main(name: str, folder: str, *options: str) -> None:
    target = TARGETS[name]
    corpus = Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, (signature, tree) in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(
            bytes([SIGNATURES.index(signature)]) + target.write(tree, Random(number))
        )
    atheris.Setup([sys.argv[0], f"-max_len={_LONGEST}", *options, folder], lambda data: outcome(target, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

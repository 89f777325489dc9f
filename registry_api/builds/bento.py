# SPDX-License-Identifier: Apache-2.0
"""Runs ``bentoml build``. Only the child process imports this: BentoML changes global state and may take a lot of memory.

A tag is replaced under a file lock, so that two builds of one variant follow each other; the lock ends with the
process, however it ends. A Bento left over from a killed attempt is deleted and built again.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry_api.builds.archive import pack
from registry_api.builds.spec import BuildSpec


def build(spec: BuildSpec) -> None:
    """Makes the Bento, leaves it in BentoML's store and writes its archive.

    Raises:
        bentoml.exceptions.BentoMLException: BentoML refuses the context.
        OSError: A file cannot be read or written.
    """
    resource.setrlimit(resource.RLIMIT_AS, (spec.memory_bytes, spec.memory_bytes))
    os.chdir(spec.context)  # BentoML resolves the service against the working folder
    requirements = Path("requirements.txt").read_text().splitlines()  # BentoML opens no file below a hidden folder
    import bentoml
    from bentoml.exceptions import NotFound

    with _locked(Path(spec.lock)):
        with suppress(NotFound):
            bentoml.delete(spec.tag)
        bento = bentoml.build(
            spec.service,
            name=spec.name,
            version=spec.version,
            include=list(spec.include),
            labels=dict(spec.labels),
            python={"packages": requirements, "lock_packages": False},
            build_ctx=spec.context,
        )
        pack(Path(bento.path), Path(spec.archive))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

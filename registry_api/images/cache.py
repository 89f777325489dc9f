# SPDX-License-Identifier: Apache-2.0
"""What image builds keep for each other, on one machine: wheels, and layers made of them. Bounded.

Rules. Each tenant has a folder of its own: what goes in was fetched and packed for its Bentos, and no other tenant's image is
made of it. Inside, everything lies under the digest of what it was made from, and a layer is copied only if its bytes still
have their digest. Base images are shared by all tenants: they are made of the operator's recipe and mirror alone, and a
build only reads them.

A cache that has outgrown its limit is emptied before the next build that nobody works beside. Losing one costs time only.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def cache_of(tenant: str, root: Path, *, limit_bytes: int) -> Iterator[Path]:
    """The tenant's folder, which stays while the block runs. Blocks while another build empties it.

    Args:
        tenant: Whose.
        root: The folder of all caches.
        limit_bytes: Beyond this it is emptied first.
    """
    folder = root / tenant
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root / f".{tenant}.lock").open("ab") as lock:
        if _alone(lock.fileno()) and _size(folder) > limit_bytes:
            shutil.rmtree(folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder


def _alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())

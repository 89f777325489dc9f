# SPDX-License-Identifier: Apache-2.0
"""Pushes and pulls a large blob and prints by how many bytes the process grew meanwhile; in a process of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from artifacts.oci.copying import pull, push
from artifacts.oci.layout import ImageManifest
from artifacts.oci.media import LAYER_TAR
from artifacts.oci.registry import Registry
from tests.integration.artifacts.oci.conftest import OPEN
from tests.unit.artifacts.oci.images import MIB, empty_layout, image

SIZE_MIB = 200
_SELF = Path("/proc/self")


def pieces() -> Iterator[bytes]:
    """Each another MiB."""
    return (number.to_bytes(8, "big") * (MIB // 8) for number in range(SIZE_MIB))


def resident(which: str) -> int:
    """Bytes: VmRSS now, or VmHWM at the most since the peak was forgotten."""
    found = re.search(rf"{which}:\s+(\d+) kB", (_SELF / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def main(host: str, folder: Path) -> None:
    """Copies it there and back."""
    layout, other = empty_layout(folder / "layout"), empty_layout(folder / "other")
    small = image(layout, [b"warm"])
    async with Registry(host, OPEN) as client:
        repository = client.repository("large/blob")
        await push(layout, small, repository)
        (_SELF / "clear_refs").write_text("5")  # forgets the peak
        before = resident("VmRSS")
        large = layout.put_blob(pieces(), media_type=LAYER_TAR)
        written = layout.put_manifest(ImageManifest(config=layout.manifest(small).config, layers=(large,)))
        pushed = await push(layout, written, repository)
        pulled = await pull(repository, written.digest, other)
    assert (pushed.sent, other.size_of(large.digest)) == (large.size, large.size)
    assert pulled.sent >= large.size
    print(resident("VmHWM") - before)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))

# SPDX-License-Identifier: Apache-2.0
"""Blobs on their way into a layout: what is kept of a cut, and what is never visible."""

from __future__ import annotations

import fcntl
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import LAYER_TAR
from artifacts.oci.testing import MemoryRegistry
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import MIB, client, empty_layout, pattern

DATA = pattern(5 * MIB + 17)
BLOB = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(DATA), size=len(DATA))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Empty."""
    return empty_layout(tmp_path / "layout")


@pytest.fixture
def transport() -> MemoryRegistry:
    """With one blob, in the repository a."""
    transport = MemoryRegistry()
    transport.blobs["a", BLOB.digest] = DATA
    return transport


async def receive(transport: MemoryRegistry, layout: Layout, blob: Descriptor = BLOB, attempts: int = 6) -> int:
    """Pulls it; returns the bytes that travelled."""
    return await client(transport, attempts=attempts).repository("a").pull_blob(blob, layout)


def parts(layout: Layout) -> list[str]:
    """What lies in the layout besides a layout."""
    return sorted(path.name for path in layout.root.iterdir() if path.name.endswith(".part"))


async def test_a_blob_arrives_once(transport: MemoryRegistry, layout: Layout) -> None:
    """The second time nothing is asked for."""
    assert await receive(transport, layout) == len(DATA)
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA
    assert await receive(transport, layout) == 0
    assert (transport.counted("GET"), parts(layout)) == (1, [])


async def test_an_empty_blob_needs_no_request(layout: Layout) -> None:
    """It is known already."""
    empty = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b""), size=0)
    assert await receive(MemoryRegistry(), layout, empty) == 0
    assert layout.size_of(empty.digest) == 0


@pytest.mark.parametrize("cuts", [[0], [1], [2 * MIB], [MIB, 1, MIB, 0, MIB], [len(DATA) - 1]])
async def test_after_a_cut_the_rest_is_asked_for(transport: MemoryRegistry, layout: Layout, cuts: list[int]) -> None:
    """Each byte travels once, however often it is cut."""
    transport.faults.cut_received = list(cuts)
    assert await receive(transport, layout) == len(DATA)
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA


async def test_what_arrived_is_kept_for_the_next_call(transport: MemoryRegistry, layout: Layout) -> None:
    """Also for that of another process."""
    transport.faults.cut_received = [3 * MIB, 0]
    with refused(ErrorCode.OCI_UNREACHABLE):
        await receive(transport, layout, attempts=1)
    assert parts(layout) == [f".{hex_of(BLOB.digest)}.part"]
    assert layout.size_of(BLOB.digest) is None
    transport.faults.cut_received = []
    assert await receive(transport, layout) == len(DATA) - 3 * MIB
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA


async def test_damage_in_what_was_kept_costs_one_more_download(transport: MemoryRegistry, layout: Layout) -> None:
    """What lies there is not believed either."""
    part = layout.root / f".{hex_of(BLOB.digest)}.part"
    for left in (b"x" * MIB, b"x" * (len(DATA) + 1), DATA):
        part.write_bytes(left)
        await receive(transport, layout)
        assert layout.read_blob(BLOB, limit=len(DATA)) == DATA
        (layout.root / "blobs" / "sha256" / hex_of(BLOB.digest)).unlink()
    assert transport.counted("GET") == 3


async def test_a_blob_that_was_damaged_here_is_fetched_again(transport: MemoryRegistry, layout: Layout) -> None:
    """What lies under its name is not believed."""
    await receive(transport, layout)
    path = layout.root / "blobs" / "sha256" / hex_of(BLOB.digest)
    for damaged in (DATA[:-1] + b"!", b"short"):
        path.write_bytes(damaged)
        assert await receive(transport, layout) == len(DATA)
        assert layout.read_blob(BLOB, limit=len(DATA)) == DATA


async def test_a_part_that_another_process_writes_is_left_alone(transport: MemoryRegistry, layout: Layout) -> None:
    """Then the blob comes by another way."""
    part = layout.root / f".{hex_of(BLOB.digest)}.part"
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"theirs")
        other.flush()
        assert await receive(transport, layout) == len(DATA)
    assert part.read_bytes() == b"theirs"
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA
    assert parts(layout) == [part.name]


@pytest.mark.parametrize("link_to", [Path.symlink_to, Path.hardlink_to])
async def test_a_link_in_the_way_is_not_written_to(
    transport: MemoryRegistry, layout: Layout, tmp_path: Path, link_to: Callable[[Path, Path], None]
) -> None:
    """A layout cannot make us write another file, by neither kind of link in the place of a part."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link_to(layout.root / f".{hex_of(BLOB.digest)}.part", victim)
    with refused(ErrorCode.PATH_UNSAFE):
        await receive(transport, layout)
    assert victim.read_bytes() == b"mine"


async def test_other_bytes_are_never_visible(transport: MemoryRegistry, layout: Layout) -> None:
    """A wrong bit, too many bytes, too few."""
    transport.faults.damage = True
    with refused(ErrorCode.DIGEST_MISMATCH):
        await receive(transport, layout)
    transport.faults.damage = False
    for wrong in (DATA + b"x", DATA * 2):
        transport.blobs["a", BLOB.digest] = wrong
        with refused(ErrorCode.DIGEST_MISMATCH):
            await receive(transport, layout)
    transport.blobs["a", BLOB.digest] = DATA[:-1]
    with refused(ErrorCode.OCI_UNREACHABLE):
        await receive(transport, layout)
    assert layout.size_of(BLOB.digest) is None


async def test_a_registry_without_ranges_begins_anew(transport: MemoryRegistry, layout: Layout) -> None:
    """And is left if it is cut at the same place again and again."""
    transport.faults.ranges = False
    transport.faults.cut_received = [2 * MIB]
    assert await receive(transport, layout) == 2 * MIB + len(DATA)
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA
    transport.faults.cut_received = [2 * MIB] * 100
    with refused(ErrorCode.OCI_UNREACHABLE):
        await receive(transport, empty_layout(layout.root.parent / "other"), attempts=4)


async def test_many_cuts_do_not_end_patience_while_it_moves_on(transport: MemoryRegistry, layout: Layout) -> None:
    """Patience is for standing still."""
    transport.faults.cut_received = [MIB + 1] * 4
    assert await receive(transport, layout, attempts=2) == len(DATA)


async def test_what_is_not_there_is_said(layout: Layout) -> None:
    """And leaves nothing."""
    with refused(ErrorCode.OCI_NOT_FOUND, BLOB.digest):
        await receive(MemoryRegistry(), layout)


async def test_a_redirected_blob_is_followed_and_resumed(transport: MemoryRegistry, layout: Layout) -> None:
    """As with registries that keep their blobs in an object store."""
    transport.faults.blobs_at = "https://cdn.test"
    transport.faults.cut_received = [2 * MIB]
    assert await receive(transport, layout) == len(DATA)
    assert {request.url.host for request in transport.requests} == {"registry.test", "cdn.test"}


async def test_a_full_disk_is_said_and_what_arrived_is_kept(transport: MemoryRegistry, layout: Layout) -> None:
    """``STORE_004``, at once; after room was made it goes on."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, old[1]))
        with refused(ErrorCode.STORE_FULL):
            await receive(transport, layout)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert 0 < await receive(transport, layout) < len(DATA)
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA


async def test_small_blobs_are_read_into_memory(transport: MemoryRegistry) -> None:
    """Within a limit, and checked."""
    repository = client(transport).repository("a")
    assert await repository.read_blob(BLOB, limit=len(DATA)) == DATA
    with refused(ErrorCode.TOO_LARGE):
        await repository.read_blob(BLOB)
    transport.faults.damage = True
    with refused(ErrorCode.DIGEST_MISMATCH):
        await repository.read_blob(BLOB, limit=len(DATA))

# SPDX-License-Identifier: Apache-2.0
"""Law: wherever transfers are cut and whatever answers are lost, what arrives is what was sent, or nothing."""

from __future__ import annotations

import asyncio
import tempfile
from io import BytesIO
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import LAYER_TAR
from artifacts.oci.sending import WHOLE_BYTES
from artifacts.oci.testing import MemoryRegistry
from core.errors import FuroshikiError
from tests.unit.artifacts.oci.images import client, pattern

SMALL, LARGE = pattern(200_000), pattern(WHOLE_BYTES + 1)


@given(st.lists(st.integers(0, len(SMALL) + 1), max_size=8), st.booleans(), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_downloads(cuts: list[int], ranges: bool, attempts: int) -> None:
    """The blob is whole, or not visible."""
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(SMALL), size=len(SMALL))
    transport = MemoryRegistry()
    transport.blobs["a", blob.digest] = SMALL
    transport.faults.cut_received, transport.faults.ranges = cuts, ranges
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.create(Path(folder) / "layout")
        try:
            asyncio.run(_receive(transport, blob, layout, attempts))
        except FuroshikiError:
            assert layout.size_of(blob.digest) is None
        else:
            assert layout.read_blob(blob) == SMALL


@given(
    st.lists(st.integers(0, len(LARGE)), max_size=6),
    st.lists(st.sampled_from(["POST", "PATCH", "PUT"]), max_size=4),
    st.booleans(),
    st.sampled_from([SMALL, LARGE]),
)
@settings(max_examples=25, deadline=None)
def test_uploads(cuts: list[int], lost: list[str], forgets: bool, data: bytes) -> None:
    """The registry has the blob whole, or has none."""
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(data), size=len(data))
    transport = MemoryRegistry()
    transport.faults.cut_sent, transport.faults.lose_answers, transport.faults.forget_uploads = cuts, lost, forgets
    try:
        asyncio.run(_send(transport, blob, data))
    except FuroshikiError:
        assert transport.blobs.get(("a", blob.digest), data) == data
    else:
        assert transport.blobs == {("a", blob.digest): data}


async def _receive(transport: MemoryRegistry, blob: Descriptor, layout: Layout, attempts: int) -> None:
    await client(transport, attempts=attempts).repository("a").pull_blob(blob, layout)


async def _send(transport: MemoryRegistry, blob: Descriptor, data: bytes) -> None:
    await client(transport, attempts=5).repository("a").push_blob(blob, lambda: BytesIO(data))

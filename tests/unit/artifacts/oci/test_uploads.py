# SPDX-License-Identifier: Apache-2.0
"""Blobs on their way to a registry: what travels, what goes on after a cut, and when it ends."""

from __future__ import annotations

from io import BytesIO

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Descriptor
from artifacts.oci.media import LAYER_TAR
from artifacts.oci.sending import CHUNK_BYTES, WHOLE_BYTES
from artifacts.oci.testing import MemoryRegistry
from artifacts.oci.uploads import Upload, Way
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import MIB, client, pattern

LARGE = pattern(CHUNK_BYTES + 5 * MIB)


async def send(
    transport: MemoryRegistry,
    data: bytes,
    *,
    mount_from: tuple[str, ...] = (),
    attempts: int = 6,
    repository: str = "a",
) -> Upload:
    """Pushes ``data`` as one blob."""
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(data), size=len(data))
    registry = client(transport, attempts=attempts)
    return await registry.repository(repository).push_blob(blob, lambda: BytesIO(data), mount_from=mount_from)


def held(transport: MemoryRegistry, data: bytes, repository: str = "a") -> bool:
    """Whether the registry has exactly these bytes."""
    return transport.blobs.get((repository, digest_bytes(data))) == data


@pytest.mark.parametrize("size", [0, 1, 1000, WHOLE_BYTES])
async def test_small_blobs_are_sent_in_one_request(size: int) -> None:
    """Look, open, send: three requests."""
    transport, data = MemoryRegistry(), pattern(size)
    assert await send(transport, data) == Upload(way=Way.SENT, sent=size)
    assert held(transport, data)
    assert [request.method for request in transport.requests] == ["HEAD", "POST", "PUT"]


@pytest.mark.parametrize("size", [WHOLE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(LARGE)])
async def test_large_blobs_are_sent_in_chunks(size: int) -> None:
    """Each byte once."""
    transport, data = MemoryRegistry(), LARGE[:size]
    assert await send(transport, data) == Upload(way=Way.SENT, sent=size)
    assert held(transport, data)
    assert transport.counted("PATCH") == -(-size // CHUNK_BYTES)


async def test_what_is_there_does_not_travel() -> None:
    """The file is not even opened."""
    transport = MemoryRegistry()
    await send(transport, b"data")
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b"data"), size=4)

    def never() -> BytesIO:
        raise AssertionError("opened")

    assert await client(transport).repository("a").push_blob(blob, never) == Upload(way=Way.PRESENT, sent=0)


async def test_what_a_neighbour_has_is_mounted() -> None:
    """From the first repository that has it; nothing travels, and uploads opened in vain are ended."""
    transport = MemoryRegistry()
    await send(transport, b"data", repository="neighbour")
    assert await send(transport, b"data", mount_from=("other", "neighbour")) == Upload(way=Way.MOUNTED, sent=0)
    assert held(transport, b"data")
    assert transport.counted("DELETE") == 1


async def test_without_a_neighbour_that_has_it_it_travels() -> None:
    """And when mounting is not allowed."""
    transport = MemoryRegistry()
    assert (await send(transport, b"data", mount_from=("other",))).way is Way.SENT
    denied = MemoryRegistry()
    denied.faults.statuses = [(404, {}), (403, {})]
    assert (await send(denied, b"data", mount_from=("secret",))).way is Way.SENT


@pytest.mark.parametrize("cut", [2, 3 * MIB, CHUNK_BYTES - 1, CHUNK_BYTES])
async def test_after_a_cut_the_rest_is_sent(cut: int) -> None:
    """The registry is asked what it has; only what is in flight is lost."""
    transport = MemoryRegistry()
    transport.faults.cut_sent = [cut]
    upload = await send(transport, LARGE)
    assert held(transport, LARGE)
    assert len(LARGE) <= upload.sent <= len(LARGE) + 2 * MIB
    assert transport.counted("POST") == 1


async def test_many_cuts_do_not_end_patience_while_it_moves_on() -> None:
    """Patience is for standing still."""
    transport = MemoryRegistry()
    transport.faults.cut_sent = [2 * MIB] * 9
    await send(transport, LARGE, attempts=2)
    assert held(transport, LARGE)
    assert transport.counted("POST") == 1


async def test_cuts_without_progress_end_patience() -> None:
    """A registry that takes a few bytes each time is left."""
    transport = MemoryRegistry()
    transport.faults.cut_sent = [10] * 100
    with refused(ErrorCode.OCI_UNREACHABLE):
        await send(transport, LARGE, attempts=4)
    assert transport.counted("PATCH") == 4


async def test_a_registry_that_cannot_say_one_byte_gets_the_blob_anew() -> None:
    """``0-0`` is what registries say of one byte and of none."""
    transport = MemoryRegistry()
    transport.faults.cut_sent = [1]
    await send(transport, LARGE)
    assert held(transport, LARGE)


async def test_a_registry_that_forgets_gets_the_blob_anew() -> None:
    """From the beginning, and not forever."""
    transport = MemoryRegistry()
    transport.faults.forget_uploads = True
    transport.faults.cut_sent = [3 * MIB]
    await send(transport, LARGE)
    assert held(transport, LARGE)
    assert transport.counted("POST") == 2
    transport.faults.cut_sent = [CHUNK_BYTES] * 100
    with refused(ErrorCode.OCI_UNREACHABLE):
        await send(transport, LARGE[1:], attempts=4)


@pytest.mark.parametrize(
    "lost", [["POST"], ["PATCH"], ["PUT"], ["POST", "POST"], ["PATCH", "PUT"], ["PATCH"] * 2 + ["PUT"]]
)
async def test_lost_answers_lose_nothing(lost: list[str]) -> None:
    """Whichever are lost: the blob is there, whole, and each byte travelled once."""
    transport = MemoryRegistry()
    transport.faults.lose_answers = list(lost)
    upload = await send(transport, LARGE)
    assert held(transport, LARGE)
    assert (upload.sent, transport.counted("PUT"), transport.faults.lose_answers) == (len(LARGE), 1, [])


async def test_a_registry_without_chunks_gets_blobs_whole() -> None:
    """Still in constant memory, and each byte twice at most."""
    transport = MemoryRegistry()
    transport.faults.chunks = False
    upload = await send(transport, LARGE)
    assert held(transport, LARGE)
    assert upload.sent <= 2 * len(LARGE)
    assert transport.counted("PUT") == 1


async def test_other_bytes_than_the_descriptor_says_are_refused_by_the_registry() -> None:
    """Tried twice, as they may have been damaged on the way; then it is said."""
    transport = MemoryRegistry()
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b"expected"), size=5)
    with refused(ErrorCode.DIGEST_MISMATCH, "twice"):
        await client(transport).repository("a").push_blob(blob, lambda: BytesIO(b"other"))
    assert transport.blobs == {}
    assert transport.counted("PUT") == 2


async def test_a_registry_that_refuses_is_not_tried_again() -> None:
    """Too large, or not allowed."""
    for status, code in ((413, ErrorCode.OCI_REFUSED), (403, ErrorCode.OCI_DENIED)):
        transport = MemoryRegistry()
        transport.faults.statuses = [(404, {}), (status, {})]
        with refused(code):
            await send(transport, b"data")
        assert len(transport.requests) == 2


@pytest.mark.parametrize("location", ["http://registry.test/v2/a/blobs/uploads/1", "ftp://x", ""])
async def test_an_upload_does_not_go_on_at_a_bad_place(location: str) -> None:
    """Such as without TLS."""
    transport = MemoryRegistry()
    transport.faults.statuses = [(404, {}), (202, {"location": location})]
    with refused(ErrorCode.OCI_REFUSED):
        await send(transport, b"data")


async def test_watchers_see_progress() -> None:
    """Rising, and the size at the end."""
    seen: list[int] = []
    blob = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(LARGE), size=len(LARGE))
    repository = client(MemoryRegistry()).repository("a")
    await repository.push_blob(blob, lambda: BytesIO(LARGE), watch=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(LARGE)
    seen.clear()
    await repository.push_blob(blob, lambda: BytesIO(LARGE), watch=seen.append)
    assert seen == [len(LARGE)]

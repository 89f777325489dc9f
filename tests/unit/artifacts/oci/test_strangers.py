# SPDX-License-Identifier: Apache-2.0
"""Registries that mean harm: they get neither memory, disk, time nor requests to others, and no commands to a terminal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.__main__ import _plain
from artifacts.oci.access import Access
from artifacts.oci.attach import referrers
from artifacts.oci.copying import pull
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import MAX_ENTRIES, ImageIndex, encode_document
from artifacts.oci.media import IMAGE_CONFIG, IMAGE_INDEX, IMAGE_MANIFEST, LAYER_TAR
from artifacts.oci.patience import Patience
from artifacts.oci.reference import parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import pull_whole, push_whole
from artifacts.oci.testing import MemoryRegistry, answered
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.testing import refused
from artifacts.supply.testing import make_image
from artifacts.supply.verification import check_signed
from artifacts.testing import trust
from core.clock import ManualClock
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import MIB, Pauses, client, empty_layout, image, pattern

REFERENCE = parse_reference("registry.test/a:3")
DATA = pattern(3 * MIB)
BLOB = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(DATA), size=len(DATA))


class Stranger(httpx.AsyncBaseTransport):
    """A registry that answers as it is told to, and notes what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)


def asking(transport: httpx.AsyncBaseTransport, clock: ManualClock | None = None) -> Registry:
    """A client of a stranger, which does not wait."""
    return Registry("registry.test", Access(patience=Patience(pause=Pauses())), clock=clock, transport=transport)


async def test_nothing_large_is_taken_before_the_signature_stands(tmp_path: Path) -> None:
    """An image that nobody we trust signed costs its documents only, however large it says it is."""
    described, transport = make_image(tmp_path / "made", packed=True), MemoryRegistry()
    repository, layout = client(transport).repository("a"), empty_layout(tmp_path / "other")
    await push_whole(described.layout, described.image, repository, tag="3")
    transport.requests.clear()
    verifier = BundleVerifier(trust(Ed25519Signer.generate()), ManualClock())
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        await pull_whole(repository, REFERENCE, layout, accept=lambda found: check_signed(layout, found, verifier))
    asked = {request.url.path.rpartition("/")[2] for request in transport.requests}
    assert asked.isdisjoint(blob.digest for blob in described.layout.manifest(described.image).blobs)
    assert layout.resolve("image") is None


async def test_an_index_is_refused_before_its_images_are_taken(tmp_path: Path) -> None:
    """Who did not say which platform gets no thousand images."""
    transport, source, layout = MemoryRegistry(), empty_layout(tmp_path / "1"), empty_layout(tmp_path / "2")
    index = source.put_manifest(ImageIndex(manifests=(image(source, [b"one"]), image(source, [b"two"]))))
    repository = client(transport).repository("a")
    await push_whole(source, index, repository, tag="3")
    transport.requests.clear()
    verifier = BundleVerifier(trust(Ed25519Signer.generate()), ManualClock())
    with refused(ErrorCode.MANIFEST_INVALID, "platform"):
        await pull_whole(repository, REFERENCE, layout, accept=lambda found: check_signed(layout, found, verifier))
    assert transport.counted("GET", "/blobs/") == 0


async def test_documents_are_bounded_together(tmp_path: Path) -> None:
    """Each is small enough, and there are not too many: memory has a limit of its own."""
    transport = MemoryRegistry()
    config = {"mediaType": IMAGE_CONFIG, "digest": digest_bytes(b"{}"), "size": 2}
    entries = []
    for number in range(12):
        manifest = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": []}
        data = json.dumps({**manifest, "annotations": {"x": "abcdefghijkl"[number] * (3 << 20)}}).encode()
        digest = transport.put_manifest("a", f"t{number}", data, IMAGE_MANIFEST)
        entries.append(Descriptor(media_type=IMAGE_MANIFEST, digest=digest, size=len(data)))
    transport.put_manifest("a", "3", encode_document(ImageIndex(manifests=tuple(entries))), IMAGE_INDEX)
    with refused(ErrorCode.TOO_LARGE, "Manifests"):
        await pull(client(transport).repository("a"), "3", empty_layout(tmp_path))


async def test_lists_without_end_are_left() -> None:
    """Of what is attached, page after page; of tags, when one is none."""
    entry = {"mediaType": IMAGE_MANIFEST, "digest": digest_bytes(b"x"), "size": 1}
    page = json.dumps({"schemaVersion": 2, "manifests": [entry] * (MAX_ENTRIES // 2)}).encode()
    headers = {"content-type": IMAGE_INDEX, "link": '</v2/a/referrers/more>; rel="next"'}
    endless = Stranger(lambda _: answered(200, page, headers))
    with refused(ErrorCode.TOO_LARGE, "entries"):
        await referrers(asking(endless).repository("a"), digest_bytes(b"image"))
    assert len(endless.requests) == 3
    commands = Stranger(lambda _: answered(200, json.dumps({"tags": ["v1", "v2\x1b[2J\nv3"]}).encode()))
    with refused(ErrorCode.MANIFEST_INVALID, "tags"):
        await asking(commands).repository("a").tags()


async def test_a_byte_at_a_time_is_no_answer(tmp_path: Path) -> None:
    """Each answer whole, and one byte long: that is a cut, and patience ends."""

    def one(request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        said = {"content-range": f"bytes {start}-{start}/{len(DATA)}"}
        return answered(206 if start else 200, DATA[start : start + 1], said)

    stingy = Stranger(one)
    with refused(ErrorCode.OCI_UNREACHABLE):
        await asking(stingy).repository("a").pull_blob(BLOB, empty_layout(tmp_path))
    assert len(stingy.requests) == 6


async def test_a_drip_is_cut_off(tmp_path: Path) -> None:
    """A byte a minute is never silent; what dripped is kept, and patience ends."""
    clock = ManualClock()

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for at in range(len(DATA)):
                clock.advance(50)
                yield DATA[at : at + 1]

    dripping = Stranger(lambda _: httpx.Response(200, stream=Drip()))
    with refused(ErrorCode.OCI_UNREACHABLE):
        await asking(dripping, clock).repository("a").pull_blob(BLOB, empty_layout(tmp_path))
    assert len(dripping.requests) == 6


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
async def test_bytes_are_hashed_as_they_come(tmp_path: Path, encoding: str) -> None:
    """What a header says of their encoding unpacks nothing."""
    layout = empty_layout(tmp_path)
    packed = Stranger(lambda _: answered(200, DATA, {"content-encoding": encoding}))
    assert await asking(packed).repository("a").pull_blob(BLOB, layout) == len(DATA)
    assert layout.read_blob(BLOB, limit=len(DATA)) == DATA


async def test_a_manifest_sends_us_nowhere(tmp_path: Path) -> None:
    """``urls`` are not followed, and ``data`` does not stand for the blob."""
    transport = MemoryRegistry()
    urls = {"urls": ["https://inside.test/secret"], "data": "e30="}
    blob = {"digest": digest_bytes(b"{}"), "size": 2, **urls}
    manifest = {"config": {"mediaType": IMAGE_CONFIG, **blob}, "layers": [{"mediaType": LAYER_TAR, **blob}]}
    written = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, **manifest}
    transport.put_manifest("a", "3", json.dumps(written).encode(), IMAGE_MANIFEST)
    with refused(ErrorCode.OCI_NOT_FOUND):
        await pull(client(transport).repository("a"), "3", empty_layout(tmp_path))
    assert {request.url.host for request in transport.requests} == {"registry.test"}


def test_a_strangers_text_is_one_line() -> None:
    """Annotations are shown without commands for the terminal; letters of all languages stay."""
    assert _plain("a=é 日\x1b[2J\nsha256:0 \u202e") == "a=é 日\\x1b[2J\\nsha256:0 \\u202e"

# SPDX-License-Identifier: Apache-2.0
"""Header blocks: remembered as long as they mean the same, and written so that any decoder reads them."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder

from services.grpc_v2.http2 import heads
from services.grpc_v2.http2.frames import ConnectionFault
from services.grpc_v2.http2.heads import Heads

CALL = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), ("content-type", "application/grpc+proto")]


def read(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in Decoder().decode(block)]


def test_a_call() -> None:
    """What edges read of a call is there; the time it may take is in seconds."""
    fields = [*CALL, ("grpc-timeout", "250m"), ("x-api-key", "k"), ("other", "o"), ("grpc-encoding", "gzip")]
    head = Heads().read(Encoder().encode(fields))
    assert (head.status, head.path, head.timeout_s, head.encoding) == (200, "/a/b", 0.25, b"gzip")
    assert head.headers == {b"x-api-key": b"k"}
    assert (b"other", b"o") in head.fields


def test_blocks_that_repeat() -> None:
    """A block that changes no table is read once; when the table changes, the same bytes may mean something else."""
    encoder, reader = Encoder(), Heads()
    first = reader.read(encoder.encode([*CALL, ("x-api-key", "a")]))
    again = encoder.encode([*CALL, ("x-api-key", "a")])
    assert reader.read(again) == first
    assert reader.read(again) is reader.read(again)
    reader.read(encoder.encode([*CALL, ("x-api-key", "b")]))
    assert reader.read(again).headers != {b"x-api-key": b"a"}  # its last index stands for another field now


def test_what_is_remembered_is_bounded() -> None:
    """However many blocks a client sends, few are kept."""
    reader = Heads()
    for number in range(2000):
        name = b"k%d" % number
        reader.read(b"\x00" + bytes((len(name),)) + name + b"\x01x")
    assert len(reader._known) <= 256


@pytest.mark.parametrize(
    "fields",
    [
        CALL[1:],
        [*CALL, (":path", "/c/d")],
        [*CALL, (":status", "200")],
        [("a", "b"), *CALL],
        [*CALL, ("Upper", "x")],
        [*CALL, ("te", "x"), ("connection", "close")],
        [*CALL, ("grpc-timeout", "123456789S")],
        [*CALL, *((f"k{n}", "v") for n in range(300))],
    ],
)
def test_what_is_not_legal(fields: list[tuple[str, str]]) -> None:
    """Requests RFC 9113 calls malformed are told apart."""
    assert Heads().read(Encoder().encode(fields)).status == 0


@pytest.mark.parametrize("block", [b"\xff" * 8, b"\x00", b"\x40\x01a\x7f", b"\xbf", b"\x3f\xff\xff\x7f"])
def test_what_cannot_be_decoded(block: bytes) -> None:
    """A block that is cut off, or refers to nothing, ends the connection."""
    with pytest.raises(ConnectionFault):
        Heads().read(block)


def test_how_calls_end() -> None:
    """The status, a sentence in percent-encoding, and further metadata of any length."""
    block = heads.ended(3, "got 5 %, é\n", (("x-furoshiki-error", "VALID_001"), ("long", "y" * 1000)))
    assert read(block) == [
        ("grpc-status", "3"),
        ("grpc-message", "got 5 %25, %C3%A9%0A"),
        ("x-furoshiki-error", "VALID_001"),
        ("long", "y" * 1000),
    ]
    assert read(heads.STARTED)[0] == (":status", "200")
    assert read(heads.ENDED) == [("grpc-status", "0")]
    assert read(heads.refused(415)) == [(":status", "415")]

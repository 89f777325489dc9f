# SPDX-License-Identifier: Apache-2.0
"""Layers that tar readers read in two ways: each is refused; what tools really write is not."""

from __future__ import annotations

import io
import tarfile

import pytest

from artifacts.stores.testing import refused
from artifacts.supply.tars import MAX_EXTENSION_BYTES, Member, TarReader
from core.errors import ErrorCode

END = bytes(1024)


def entry(path: str = "a", data: bytes = b"", kind: bytes = b"0", **changes: bytes) -> bytes:
    """A header in ``ustar`` format with right checksum, and its content; ``changes`` overwrite fields by name."""
    info = tarfile.TarInfo(path)
    info.type, info.size = kind, len(data)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    places = {"name": 0, "size": 124, "checksum": 148, "magic": 257, "prefix": 345, "trailer": 508}
    for name, value in changes.items():
        block[places[name] : places[name] + len(value)] = value
    if "checksum" not in changes:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512)


def pax(*records: tuple[str, bytes], kind: bytes = b"x", raw: bytes = b"") -> bytes:
    """An extension that says these things."""
    written = b""
    for name, value in records:
        body = b" %s=%s\n" % (name.encode(), value)
        length = next(size for size in range(len(body) + 8) if len(str(size)) + len(body) == size)
        written += b"%d%s" % (length, body)
    return entry("pax", written + raw, kind)


def read(tar: bytes) -> list[tuple[Member, bytes]]:
    """Every member, with what it holds."""
    reader = TarReader(io.BytesIO(tar))
    return [(member, reader.read(member.size)) for member in reader]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tar_writes_is_read(form: int) -> None:
    """In each format: files, folders, links of both kinds, devices; long names where the format has them."""
    long = "/".join(["folder"] * (8 if form == tarfile.USTAR_FORMAT else 40))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as tar:
        for path, kind in (("./", b"5"), ("./d", b"5"), (f"d/{long}", b"0"), ("é", b"2"), ("h", b"1"), ("p", b"6")):
            info = tarfile.TarInfo(path)
            info.type, info.size, info.linkname = kind, 700 if kind == b"0" else 0, "x" if kind in b"12" else ""
            tar.addfile(info, io.BytesIO(bytes(700)))
    found = [(member.path, member.kind, len(data)) for member, data in read(written.getvalue())]
    long = f"d/{long}"
    expected = [("", "folder", 0), ("d", "folder", 0), (long, "file", 700), ("é", "link", 0), ("h", "other", 0)]
    assert found == [*expected, ("p", "other", 0)]


def test_content_that_is_not_read_is_skipped() -> None:
    """The next member begins where the last one ends."""
    assert [member.path for member in TarReader(io.BytesIO(entry("a", b"x" * 1000) + entry("b") + END))] == ["a", "b"]


def test_a_size_too_large_for_its_field_is_read() -> None:
    """In GNU's notation, and as an extension."""
    large = (9 << 30).to_bytes(11, "big")
    for tar in (entry(size=b"\x80" + large), pax(("size", b"%d" % (9 << 30))) + entry()):
        assert next(iter(TarReader(io.BytesIO(tar)))).size == 9 << 30


AMBIGUOUS = {
    "one more archive behind the end": entry() + END + entry("evil"),
    "one block of zeros, then more": entry() + bytes(512) + entry("evil") + END,
    "a broken header, then more": entry() + entry("b", checksum=b"000000\0 ") + entry("evil") + END,
    "a size behind a zero byte": entry("a", size=b"\0000000001000") + entry("hidden") + END,
    "a size in Python's notation": entry("a", size=b"0o000001000\0") + END,
    "a negative size": entry("a", size=b"\xff" * 12) + END,
    "a global path": pax(("path", b"harmless"), kind=b"g") + entry("evil") + END,
    "a path twice in one extension": pax(("path", b"a"), ("path", b"b")) + entry() + END,
    "two extensions": pax(("path", b"a")) + pax(("path", b"b")) + entry() + END,
    "a long name and a path": entry("L", b"a\0", b"L") + pax(("path", b"b")) + entry() + END,
    "two long names": entry("L", b"a\0", b"L") + entry("L", b"b\0", b"L") + entry() + END,
    "a length with a sign": pax(raw=b"+11 path=b\n") + entry() + END,
    "a record without its end": pax(raw=b"10 path=bb") + entry() + END,
    "a record that is longer than all": pax(raw=b"99 path=b\n") + entry() + END,
    "a zero byte in a path": pax(("path", b"a\0b")) + entry() + END,
    "another size": pax(("size", b"1")) + entry("a", b"xx") + END,
    "a sparse file by an extension": pax(("GNU.sparse.name", b"b")) + entry() + END,
    "a sparse file": entry("a", b"", b"S") + END,
    "a contiguous file": entry("a", b"x", b"7") + END,
    "an attribute of overlay file systems": pax(("SCHILY.xattr.trusted.overlay.redirect", b"/x")) + entry() + END,
    "a character set": pax(("hdrcharset", b"BINARY")) + entry() + END,
    "a link with content": entry("a", b"x", b"2") + END,
    "a file that ends with a slash": entry(name=b"a/\0") + END,
    "a path with a dot inside": entry("a/./b") + END,
    "a path upwards": entry("a/../b") + END,
    "a path with two slashes": entry("a//b") + END,
    "a deep path": pax(("path", b"a/" * 200 + b"b")) + entry() + END,
    "a format of star": entry(trailer=b"tar\0") + END,
    "a prefix in GNU's format": entry(magic=b"ustar  \0", prefix=b"home") + END,
    "an unknown format": entry(magic=b"UsTaR\0") + END,
    "a cut content": entry("a", b"x" * 600)[:-400],
    "a cut header": entry()[:200],
    "an extension of nothing": pax(("path", b"a")) + END,
    "a long extension": entry("x", bytes(MAX_EXTENSION_BYTES + 1), b"x") + END,
}


@pytest.mark.parametrize("tar", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_read_in_two_ways_is_refused(tar: bytes) -> None:
    """SIGN_010, whatever a lenient reader makes of it."""
    with refused(ErrorCode.MANIFEST_INVALID, "every reader"):
        read(tar)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a size behind a zero byte", ["a", "hidden"]),
        ("a global path", ["harmless"]),
        ("a broken header, then more", ["a"]),
        ("one block of zeros, then more", ["a"]),
    ],
)
def test_a_lenient_reader_is_deceived(name: str, shown: list[str]) -> None:
    """Python's own takes these, and shows other members than Go's: what is refused is not harmless."""
    with tarfile.open(fileobj=io.BytesIO(AMBIGUOUS[name])) as tar:
        assert tar.getnames() == shown


def test_cut_tars_are_refused_or_whole() -> None:
    """At each place: between two members it is what came before, anywhere else it is refused."""
    parts = [pax(("path", b"b")) + entry("a", b"12345"), entry("c"), entry("d", b"1")]
    whole = b"".join(parts)
    ends = {0: 0, len(parts[0]): 1, len(parts[0] + parts[1]): 2}
    for size in range(0, len(whole), 64):
        if size in ends:
            assert len(read(whole[:size])) == ends[size]
            continue
        with refused(ErrorCode.MANIFEST_INVALID):
            read(whole[:size])

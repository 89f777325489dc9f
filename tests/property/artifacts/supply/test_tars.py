# SPDX-License-Identifier: Apache-2.0
"""Laws of reading layers: what tar writes is read, and damage is refused or changes nothing."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from artifacts.supply.tars import Member, TarReader
from core.errors import ErrorCode, SignatureError

FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
PATHS = st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4).map("/".join)
ENTRIES = st.lists(st.tuples(PATHS, st.sampled_from([b"0", b"2", b"5"]), st.binary(max_size=700)), max_size=4)


def written(entries: list[tuple[str, bytes, bytes]], form: int) -> bytes:
    """A tar of (path, type, content of a file)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        for path, kind, content in entries:
            info = tarfile.TarInfo(path)
            info.type, info.size, info.linkname = kind, len(content) if kind == b"0" else 0, "x" if kind == b"2" else ""
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def read(tar: bytes) -> list[tuple[Member, bytes]]:
    """Every member, with what it holds."""
    reader = TarReader(io.BytesIO(tar))
    return [(member, reader.read(member.size)) for member in reader]


@given(ENTRIES, FORMATS)
def test_what_tar_writes_is_read(entries: list[tuple[str, bytes, bytes]], form: int) -> None:
    """Path, kind and content of each entry, in order."""
    kinds = {b"0": "file", b"2": "link", b"5": "folder"}
    expected = [(path, kinds[kind], content if kind == b"0" else b"") for path, kind, content in entries]
    assert [(member.path, member.kind, data) for member, data in read(written(entries, form))] == expected


@given(ENTRIES, FORMATS, st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_read_as_python_reads_it(
    entries: list[tuple[str, bytes, bytes]], form: int, at: int, change: int
) -> None:
    """Never another error, and never other entries than those that Python's reader shows as well."""
    tar = bytearray(written(entries, form))
    tar[at % len(tar)] ^= change
    try:
        found = [member.path for member, _data in read(bytes(tar))]
    except SignatureError as error:
        assert error.code is ErrorCode.MANIFEST_INVALID  # noqa: PT017 - either ending is right
        return
    with tarfile.open(fileobj=io.BytesIO(bytes(tar))) as shown:
        assert found == [name.removeprefix("./").strip("/") for name in shown.getnames()]

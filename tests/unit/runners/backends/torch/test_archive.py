# SPDX-License-Identifier: Apache-2.0
"""Archives of torch: what is unpacked, and the archive that torch is given instead."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import PurePosixPath

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.backends.torch.archive import read_archive, write_archive
from runners.backends.torch.pickles import check_pickle


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for path, data in entries:
            made.writestr(path, data)
    return buffer.getvalue()


def test_what_is_read_is_what_is_written() -> None:
    """Files without the folder that holds them; packed anew they are the same."""
    files = read_archive(archive(("model/data.pkl", b"1"), ("model/code/a.py", b"2"), method=zipfile.ZIP_DEFLATED))
    assert files == {"data.pkl": b"1", "code/a.py": b"2"}
    assert read_archive(write_archive(files).getvalue()) == files


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("a/x", b""), ("b/x", b"")], "2 folders"),
        ([("a/x", b"1"), ("a/x", b"2")], "twice"),
        ([("a/../../x", b"")], "outside"),
        ([("a/b\\..\\x", b"")], "outside"),
        ([("a/big", bytes(400 << 20))], "unpacks to"),
        ([], "0 folders"),
    ],
    ids=["two folders", "twice", "parent", "backslash", "bomb", "empty"],
)
def test_a_hostile_archive_is_refused(entries: list[tuple[str, bytes]], why: str) -> None:
    """Before anything of it is used."""
    with refused(ErrorCode.MODEL_INVALID, why):
        read_archive(archive(*entries, method=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x02}q\x00.", b"not a zip"])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """Plain pickles too, which older versions of torch wrote."""
    with refused(ErrorCode.MODEL_INVALID, "no torch archive"):
        read_archive(data)


def test_a_changed_byte_is_noticed() -> None:
    """By the archive's own checksum."""
    data = bytearray(archive(("a/x", b"content")))
    data[data.index(b"content")] ^= 1
    with refused(ErrorCode.MODEL_INVALID, "damaged"):
        read_archive(bytes(data))


@pytest.mark.parametrize("value", [1, [1.5, "text", None], {"a": (1, 2)}, OrderedDict(a=1)], ids=repr)
def test_pickles_of_plain_values_are_read(value: object) -> None:
    """They import nothing, or what tensors need."""
    check_pickle(pickle.dumps(value, 2), path="data.pkl")


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(PurePosixPath("x"), 2),
        pickle.dumps(print, 4),
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"c__torch__.torch.classes.some\nThing\n.",
        b"\x82\x01.",
        b"no pickle",
        b"",
    ],
    ids=["class", "function", "global", "inst", "native", "extension", "garbage", "empty"],
)
def test_pickles_that_would_import_are_refused(data: bytes) -> None:
    """By their opcodes; nothing is executed."""
    with refused(ErrorCode.MODEL_INVALID, "'data.pkl'"):
        check_pickle(data, path="data.pkl")

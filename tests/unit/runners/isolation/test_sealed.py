# SPDX-License-Identifier: Apache-2.0
"""Sealed memory holds what was put in, and nobody can change it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest

from runners.isolation.sealed import Sealed, SealedFiles, unsealed, unsealed_files

FILES = {"model.onnx": b"weights" * 1000, "empty": b"", "assets/labels.txt": b"zero\none\n"}


@pytest.fixture
def sealed() -> Iterator[SealedFiles]:
    made = SealedFiles(FILES)
    yield made
    made.close()


def test_files_come_out_as_they_went_in(sealed: SealedFiles) -> None:
    """By path, byte for byte, empty ones too."""
    assert unsealed_files(sealed.fd, sealed.index) == FILES


@pytest.mark.parametrize("files", [{}, {"empty": b""}])
def test_nothing_can_be_sealed(files: dict[str, bytes]) -> None:
    """Memory without a byte is no special case to callers."""
    made = SealedFiles(files)
    assert unsealed_files(made.fd, made.index) == files
    assert unsealed(made.fd) == b""
    made.close()


def test_nobody_can_write_to_it(sealed: SealedFiles) -> None:
    """Not through the descriptor, a mapping, a new opening of it or a change of size."""
    with pytest.raises(PermissionError):
        os.pwrite(sealed.fd, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(sealed.fd, 0)
    with pytest.raises(PermissionError):
        os.truncate(sealed.fd, 1)
    again = os.open(f"/proc/self/fd/{sealed.fd}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(again, b"x")
    os.close(again)
    assert unsealed_files(sealed.fd, sealed.index) == FILES


def test_memory_that_is_not_sealed_is_refused() -> None:
    """What somebody could still write to is not read."""
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="not sealed"):
        unsealed(fd)
    os.close(fd)


def test_another_size_than_the_files_is_refused(sealed: SealedFiles) -> None:
    """An index that is not of this memory is not used."""
    with pytest.raises(ValueError, match="the files have"):
        unsealed_files(sealed.fd, [("model.onnx", 1)])


def test_it_may_be_closed_twice() -> None:
    """And its descriptor is gone then."""
    made = Sealed([b"1"])
    fd = made.fd
    made.close()
    made.close()
    with pytest.raises(OSError):
        os.fstat(fd)

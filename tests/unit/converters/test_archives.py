# SPDX-License-Identifier: Apache-2.0
"""Zip archives are looked over before anything unpacks them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from converters.archives import check_archive
from core.errors import ErrorCode, ModelError


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def test_an_ordinary_archive_passes(tmp_path: Path) -> None:
    """Entries of ordinary size within the archive are fine."""
    check_archive(archive(tmp_path / "model.keras", {"config.json": b"{}", "weights/0": bytes(1000)}), step="keras")


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """An archive that would unpack to more than a hundred times its size is refused, and nothing is unpacked."""
    bomb = archive(tmp_path / "model.keras", {"model.weights.h5": bytes(1 << 26)})
    with pytest.raises(ModelError, match="that is a zip bomb") as caught:
        check_archive(bomb, step="keras")
    assert caught.value.code is ErrorCode.MODEL_INVALID
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "..\\outside"])
def test_an_entry_outside_is_refused(tmp_path: Path, name: str) -> None:
    """An entry whose path leaves the archive is refused."""
    with pytest.raises(ModelError, match="lies outside it"):
        check_archive(archive(tmp_path / "model.pt2", {name: b"x"}), step="torch_export")


def test_a_library_is_refused(tmp_path: Path) -> None:
    """A compiled library within a model is refused."""
    with pytest.raises(ModelError, match="holds a compiled library"):
        check_archive(archive(tmp_path / "model.pt2", {"data/aotinductor/model/a.so": b"x"}), step="torch_export")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A file that is no zip archive is refused with its name."""
    (tmp_path / "model.keras").write_bytes(b"\x80\x04 nothing of the kind")
    with pytest.raises(ModelError, match=r"model\.keras is no zip archive"):
        check_archive(tmp_path / "model.keras", step="keras")

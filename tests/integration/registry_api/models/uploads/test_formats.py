# SPDX-License-Identifier: Apache-2.0
"""Uploads of formats other than ONNX: what is told from their names, and what hostile ones get. The children are real."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.integration.registry_api.rest import Api, open_api


@pytest.fixture
async def digits(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "home") as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        yield api


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


def archive(members: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def bomb() -> bytes:
    """A few hundred kilobytes that unpack to 256 MiB, under the names of a Keras archive."""
    return archive({"metadata.json": b"{}", "config.json": b"\0" * (256 << 20), "model.weights.h5": b""})


async def refused(api: Api, files: Mapping[str, bytes]) -> tuple[int, str]:
    """What completing an upload of these files is answered with."""
    upload = await api.declare("digits", files)
    await api.send(upload, files)
    return await api.refused("POST", f"/uploads/{upload}/complete")


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_pickle_does_nothing_but_be_refused(digits: Api, tmp_path: Path, name: str, packed: bool) -> None:
    """Under the names of torch's formats, alone or as the data of an archive: MODEL_003, and its payload never ran."""
    payload = pickle.dumps(Payload(tmp_path / "ran"))
    data = archive({"archive/data.pkl": payload, "archive/version": b"3"}) if packed else payload
    assert await refused(digits, {name: data}) == (422, "MODEL_003")
    assert not (tmp_path / "ran").exists()
    assert await digits.versions("digits") == []


async def test_a_zip_bomb_is_refused(digits: Api) -> None:
    """MODEL_003 before it is unpacked."""
    assert await refused(digits, {"model.keras": bomb()}) == (422, "MODEL_003")
    assert await digits.versions("digits") == []


@pytest.mark.parametrize("name", ["model.tflite", "saved_model.pb", "model.jax_export"])
async def test_garbage_is_refused(digits: Api, name: str) -> None:
    """Bytes that are no model of the format their name says: MODEL_003."""
    assert await refused(digits, {name: b"garbage" * 100}) == (422, "MODEL_003")


async def test_a_format_that_contradicts_the_files_is_refused(digits: Api) -> None:
    """VALID_002 if there is no main file of it; MODEL_003 if there is one of another format too."""
    files = [{"path": "model.onnx", "size": 1, "digest": "sha256:" + "0" * 64}]
    body = {"format": "tflite", "files": files}
    assert await digits.refused("POST", "/models/digits/uploads", json=body) == (422, "VALID_002")
    both = {"format": "onnx", "files": [*files, {**files[0], "path": "model.tflite"}]}
    assert await digits.refused("POST", "/models/digits/uploads", json=both) == (422, "MODEL_003")

# SPDX-License-Identifier: Apache-2.0
"""What of a Bento goes where, and what it wants done."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifacts.digest import digest_bytes
from artifacts.manifest import FileEntry
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.bento import commands_of, layer_of, place, refuse_commands

OF_BENTOML = (
    "apt-get update && apt-get install -q -y --no-install-recommends --allow-remove-essential "
    "ca-certificates gnupg2 bash build-essential git"
)


def _bento(folder: Path, **description: Any) -> Path:
    (folder / "bento.yaml").write_text(yaml.safe_dump({"name": "x", **description}))
    return folder


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("src/model/model.onnx", "model"),
        ("src/models.py", "release"),
        ("src/core/errors.py", "code"),
        ("env/python/requirements.txt", "code"),
        ("src/requirements.txt", "code"),
        ("bento.yaml", "release"),
        ("src/trust/acme.json", "release"),
        ("src/tuning.json", "release"),
    ],
)
def test_files_have_their_layer(path: str, layer: str) -> None:
    """What is the same for all models is code, the bundle is the model, the rest is the release."""
    assert layer_of(path) == layer


def test_the_command_that_bentoml_always_writes_is_none(tmp_path: Path) -> None:
    """Every Bento has it; it prepares BentoML's own build."""
    assert commands_of(_bento(tmp_path, image={"commands": [OF_BENTOML], "post_commands": []})) == ()
    assert commands_of(_bento(tmp_path)) == ()


@pytest.mark.parametrize(
    ("description", "command"),
    [
        ({"image": {"commands": [OF_BENTOML, "apt-get install -y ffmpeg"]}}, "apt-get install -y ffmpeg"),
        ({"image": {"post_commands": ["ldconfig"]}}, "ldconfig"),
        ({"image": {"commands": [f"{OF_BENTOML} ffmpeg"]}}, f"{OF_BENTOML} ffmpeg"),
        ({"docker": {"system_packages": ["git"]}}, "system_packages: ['git']"),
        ({"docker": {"setup_script": "./setup.sh"}}, "setup_script: ./setup.sh"),
    ],
)
def test_commands_of_its_own_are_refused_by_name(tmp_path: Path, description: dict[str, Any], command: str) -> None:
    """IMAGE_004 names the first one, and the builder that runs none."""
    bento = _bento(tmp_path, **description)
    assert commands_of(bento) == (command,)
    with refused(ErrorCode.IMAGE_COMMANDS, "'layers'"):
        refuse_commands(bento, "layers")


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz"))
BOMB += "image: {commands: [*z]}"


@pytest.mark.parametrize("text", ["- a list", "a: [", "\x00", "image: {commands: ls}", "image: {commands: [1]}", BOMB])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """SIGN_010, not a traceback."""
    (tmp_path / "bento.yaml").write_text(text)
    with refused(ErrorCode.MANIFEST_INVALID, "bento.yaml"):
        commands_of(tmp_path)


def test_a_file_is_placed_if_it_is_the_verified_one(tmp_path: Path) -> None:
    """What is hashed is what is written; a changed file is SIGN_004."""
    (tmp_path / "a").write_bytes(b"verified")
    entry = FileEntry(path="a", size=8, digest=digest_bytes(b"verified"))
    place(tmp_path, entry, tmp_path / "to" / "a")
    assert (tmp_path / "to" / "a").read_bytes() == b"verified"
    (tmp_path / "a").write_bytes(b"changed!")
    with refused(ErrorCode.DIGEST_MISMATCH):
        place(tmp_path, entry, tmp_path / "other")

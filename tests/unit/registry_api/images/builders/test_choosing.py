# SPDX-License-Identifier: Apache-2.0
"""Which builder is taken, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from artifacts.oci.layout import Layout
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.choosing import BUILDERS, choose
from registry_api.images.builders.interface import BuildRequest, BuiltImage, ImageBuilder, Tell
from registry_api.images.builders.machine import own_architecture


class _Builder:
    """Is installed, or is not."""

    def __init__(self, name: str, lacks: str | None) -> None:
        self.name = name
        self._lacks = lacks

    def missing(self) -> str | None:
        return self._lacks

    def version(self) -> str:
        return "1"

    def build(self, request: BuildRequest, target: Layout, tell: Tell) -> BuiltImage:
        raise NotImplementedError


def _builders(**lacks: str | None) -> Mapping[str, ImageBuilder]:
    return {name: _Builder(name, lacks.get(name)) for name in ("buildah", "layers", "bentoml")}


def _bento(folder: Path, *commands: str) -> Path:
    (folder / "bento.yaml").write_text(yaml.safe_dump({"image": {"commands": list(commands)}}))
    return folder


@pytest.mark.parametrize(
    ("commands", "lacks", "name", "reason"),
    [
        ((), {}, "buildah", "buildah is installed"),
        ((), {"buildah": "buildah is not installed."}, "layers", "buildah is not installed."),
        (("apt-get install -y ffmpeg",), {}, "bentoml", "the Bento wants 1 command(s) run, which only this one does"),
    ],
)
def test_auto_says_which_and_why(
    tmp_path: Path, commands: tuple[str, ...], lacks: dict[str, str], name: str, reason: str
) -> None:
    """Commands need BentoML; otherwise buildah where it is installed; otherwise Python alone."""
    choice = choose("auto", _bento(tmp_path, *commands), architecture=own_architecture(), builders=_builders(**lacks))
    assert (choice.builder.name, choice.reason) == (name, reason)


def test_auto_runs_nothing_of_another_architecture(tmp_path: Path) -> None:
    """Only ``layers`` needs no machine for it."""
    choice = choose("auto", _bento(tmp_path), architecture="s390x", builders=_builders())
    assert (choice.builder.name, choice.reason) == ("layers", "this machine does not run s390x")


def test_auto_does_not_skip_commands(tmp_path: Path) -> None:
    """Where nobody can run what the Bento wants, that is an error: IMAGE_001."""
    with refused(ErrorCode.IMAGE_BUILDER_MISSING, "'bentoml'"):
        choose(
            "auto",
            _bento(tmp_path, "ldconfig"),
            architecture=own_architecture(),
            builders=_builders(bentoml="podman is not installed."),
        )


def test_a_named_builder_is_taken_or_refused(tmp_path: Path) -> None:
    """Never another one in its place."""
    builders = _builders(buildah="buildah is not installed.")
    assert (
        choose("layers", _bento(tmp_path), architecture=own_architecture(), builders=builders).builder.name == "layers"
    )
    with refused(ErrorCode.IMAGE_BUILDER_MISSING, "buildah is not installed"):
        choose("buildah", _bento(tmp_path), architecture=own_architecture(), builders=builders)
    with refused(ErrorCode.INVALID_FIELD, "auto, bentoml, buildah, layers"):
        choose("kaniko", _bento(tmp_path), architecture=own_architecture(), builders=builders)


def test_the_builders_have_their_names() -> None:
    """The registry of builders is keyed by what they call themselves; ``layers`` lacks nothing anywhere."""
    assert {name: builder.name for name, builder in BUILDERS.items()} == {name: name for name in BUILDERS}
    assert BUILDERS["layers"].missing() is None

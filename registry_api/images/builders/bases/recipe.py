# SPDX-License-Identifier: Apache-2.0
"""What a base image is made of: one TOML file per device class, in ``deploy/images``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
import rfc8785

from artifacts.digest import Digest, digest_bytes
from core.errors import ErrorCode, InitError, NotFound
from registry_api.jobs.process import INSTALLATION

RECIPES: Final = INSTALLATION / "deploy" / "images"
_FORMAT: Final = 2  # of what is made of a recipe; another number makes every base another one

_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9.+-]*\Z")]


class _Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As it is written."""

    device: _Name
    extends: _Name | None = None  # recipe whose lists come first; packages given here replace its packages
    suite: _Name | None = None
    architectures: tuple[_Name, ...] | None = None
    packages: tuple[_Name, ...] | None = None
    left_out: tuple[_Name, ...] = ()
    excluded: tuple[str, ...] = ()
    environment: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A base image, described."""

    device: str  # device class: "cpu", "cuda", "edge"
    suite: str  # of Debian
    architectures: tuple[str, ...]  # in Debian's names, which are Go's for these
    packages: tuple[str, ...]  # asked for
    left_out: tuple[str, ...]  # packages that come as dependencies but not into the image
    excluded: tuple[str, ...]  # patterns of paths that are not taken from packages
    environment: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> Digest:
        """Of everything the recipe says."""
        said = {name: getattr(self, name) for name in ("device", "suite", "environment")}
        lists = {name: list(getattr(self, name)) for name in ("architectures", "packages", "left_out", "excluded")}
        return digest_bytes(rfc8785.dumps({"format": _FORMAT, **said, **lists}))


def read_recipe(device: str, folder: Path = RECIPES) -> Recipe:
    """The recipe of a device class.

    Raises:
        NotFound: ``IMAGE_002`` if there is none.
        InitError: ``INIT_002`` if it is malformed.
    """
    path = folder / f"{device}.toml"
    try:
        written = msgspec.convert(tomllib.loads(path.read_text()), _Recipe)
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in folder.glob("*.toml")))
        raise NotFound(
            ErrorCode.IMAGE_BASE, f"There is no base image for {device!r}; expected one of {known}."
        ) from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise _malformed(path, str(error)) from None
    if written.extends is not None:
        return _extended(read_recipe(written.extends, folder), written)
    if not (written.suite and written.architectures and written.packages):
        raise _malformed(path, "suite, architectures and packages are needed where nothing is extended")
    return Recipe(
        device=written.device,
        suite=written.suite,
        architectures=written.architectures,
        packages=written.packages,
        left_out=written.left_out,
        excluded=written.excluded,
        environment=written.environment,
    )


def _extended(below: Recipe, written: _Recipe) -> Recipe:
    return replace(
        below,
        device=written.device,
        suite=written.suite or below.suite,
        architectures=written.architectures or below.architectures,
        packages=written.packages or below.packages,
        left_out=below.left_out + written.left_out,
        excluded=below.excluded + written.excluded,
        environment=below.environment | written.environment,
    )


def _malformed(path: Path, reason: str) -> InitError:
    return InitError(ErrorCode.SETTING_INVALID, f"{path} is not a recipe for a base image: {reason}.")

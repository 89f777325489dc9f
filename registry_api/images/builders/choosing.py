# SPDX-License-Identifier: Apache-2.0
"""Which builder makes an image. Asked for by name, that one or an error; ``auto`` picks, and says which and why.

``auto`` takes ``bentoml`` for a Bento that wants commands run, because no other runs them; otherwise ``buildah`` where it is
installed, because the image's own Python installs the packages; otherwise ``layers``, which needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from core.errors import ErrorCode, InvalidRequest
from registry_api.images.builders.bento import commands_of
from registry_api.images.builders.bentoml import BentomlBuilder
from registry_api.images.builders.buildah import BuildahBuilder
from registry_api.images.builders.interface import ImageBuilder, builder_missing
from registry_api.images.builders.layers import LayersBuilder
from registry_api.images.builders.machine import runs

AUTO: Final = "auto"
BUILDERS: Final[Mapping[str, ImageBuilder]] = MappingProxyType(
    {builder.name: builder for builder in (BuildahBuilder(), LayersBuilder(), BentomlBuilder())}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A builder, and why it was taken."""

    builder: ImageBuilder
    reason: str


def choose(name: str, bento: Path, *, architecture: str, builders: Mapping[str, ImageBuilder] = BUILDERS) -> Choice:
    """The builder for a Bento.

    Args:
        name: Of a builder, or ``auto``.
        bento: The Bento's folder.
        architecture: Of the image. Only ``layers`` runs nothing in it, so it needs no machine that could.
        builders: Those there are, by name.

    Raises:
        InvalidRequest: ``VALID_002`` if there is no such builder.
        Unavailable: ``IMAGE_001`` if it cannot work here, or none can that this Bento needs.
    """
    if name != AUTO:
        return Choice(builder=_usable(name, builders), reason="it was asked for")
    commands = commands_of(bento)
    if commands:
        reason = f"the Bento wants {len(commands)} command(s) run, which only this one does"
        return Choice(builder=_usable("bentoml", builders), reason=reason)
    if not runs(architecture):
        return Choice(builder=builders["layers"], reason=f"this machine does not run {architecture}")
    lacks = builders["buildah"].missing()
    if lacks is None:
        return Choice(builder=builders["buildah"], reason="buildah is installed")
    return Choice(builder=builders["layers"], reason=lacks)


def _usable(name: str, builders: Mapping[str, ImageBuilder]) -> ImageBuilder:
    builder = builders.get(name)
    if builder is None:
        known = ", ".join((AUTO, *sorted(builders)))
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"There is no image builder {name[:40]!r}; expected one of {known}.",
            details={"field": "builder"},
        )
    lacks = builder.missing()
    if lacks is not None:
        raise builder_missing(name, lacks)
    return builder

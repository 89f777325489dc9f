# SPDX-License-Identifier: Apache-2.0
"""The file of an environment that says which images run, and nothing else: values for the chart.

Only a program writes it, so it is read, changed and written whole. An image is a repository and a digest; a tag is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

HEAD: Final = """\
# SPDX-License-Identifier: Apache-2.0
# Written by python -m deploy.gitops; which images run here.
"""
REGISTRY: Final = "registry"  # stands for the image of registry, worker and migrations
_NAMED: Final = re.compile(
    r"(?P<part>[a-z0-9-]+)=(?P<repository>[a-z0-9][a-z0-9._/:-]*)@(?P<digest>sha256:[0-9a-f]{64})"
)


class NotAnImage(ValueError):
    """An argument that does not say PART=REPOSITORY@sha256:HEX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What one part of an environment is to run."""

    part: str  # REGISTRY, or the name of a deployment
    repository: str
    digest: str


def parse(text: str) -> Image:
    """``PART=REPOSITORY@sha256:HEX``.

    Raises:
        NotAnImage: If it is anything else, a tag for example.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise NotAnImage(f"{text!r}: expected PART=REPOSITORY@sha256:HEX, with 64 hexadecimal digits and no tag")
    return Image(**found.groupdict())


def write(file: Path, images: list[Image]) -> bool:
    """Puts images into the file; whether that changed it.

    Raises:
        OSError: If it cannot be read or written.
    """
    before = file.read_text()
    values: dict[str, Any] = yaml.safe_load(before)
    for image in images:
        part = values if image.part == REGISTRY else values["deployments"].setdefault(image.part, {})
        part["image"] = {"repository": image.repository, "digest": image.digest}
    after = HEAD + yaml.safe_dump(values, sort_keys=False)
    if after == before:
        return False
    file.write_text(after)
    return True

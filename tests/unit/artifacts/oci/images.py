# SPDX-License-Identifier: Apache-2.0
"""Small images, registries in memory and patience without waiting, for the tests of artifacts.oci."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from artifacts.oci.access import Access
from artifacts.oci.layout import Descriptor, ImageManifest, Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG, LAYER_TAR
from artifacts.oci.patience import Patience
from artifacts.oci.registry import Registry
from artifacts.oci.testing import MemoryRegistry

MIB = 1024 * 1024
AMD64 = Platform(architecture="amd64")


class Pauses(list[float]):
    """Notes each wait and does not wait."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def pattern(size: int, seed: int = 1) -> bytes:
    """``size`` bytes that differ with ``seed`` and do not repeat."""
    return random.Random(seed).randbytes(size)


def image(layout: Layout, layers: Sequence[bytes], *, tag: str | None = None, platform: Platform = AMD64) -> Descriptor:
    """Writes an image of these layers."""
    config = {"architecture": platform.architecture, "os": platform.os, "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = ImageManifest(
        config=layout.put_bytes(json.dumps(config).encode(), media_type=IMAGE_CONFIG),
        layers=tuple(layout.put_bytes(layer, media_type=LAYER_TAR) for layer in layers),
    )
    return layout.put_manifest(manifest, tag=tag, platform=platform)


def empty_layout(folder: Path) -> Layout:
    """A new layout."""
    return Layout.create(folder)


def client(transport: MemoryRegistry, pauses: Pauses | None = None, *, attempts: int = 6) -> Registry:
    """A client of a registry in memory, over what it takes for TLS."""
    patience = Patience(attempts=attempts, pause=Pauses() if pauses is None else pauses)
    return Registry("registry.test", Access(patience=patience), transport=transport)

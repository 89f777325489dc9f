# SPDX-License-Identifier: Apache-2.0
"""Whether what an instance was made of is still what its template says.

The signed manifest on disk is compared, by its digest. The process verified every file when it loaded it and does so again;
its settings were fixed when it started.
"""

from __future__ import annotations

from pathlib import Path

from artifacts.digest import digest_bytes, hex_of
from artifacts.manifest import MANIFEST_NAME
from registry_api.deployments.values import Template


def drifted(folder: Path, template: Template) -> str | None:
    """What is not as ``template`` says, in words; None: nothing.

    Args:
        folder: Of the instance: ``<deployments>/<deployment id>/<run id>``.
        template: What it was made of.
    """
    manifest = folder / "bento" / MANIFEST_NAME
    if template.image_id is not None:
        manifest = folder / "image" / "blobs" / "sha256" / hex_of(template.digest)
    try:
        found = digest_bytes(manifest.read_bytes())
    except OSError as error:
        return f"its manifest cannot be read: {error.strerror}"
    return None if found == template.digest else f"its manifest has digest {found} instead of {template.digest}"

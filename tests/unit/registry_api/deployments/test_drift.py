# SPDX-License-Identifier: Apache-2.0
"""An instance has drifted when the manifest it was made of is another one, or gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes, hex_of
from registry_api.deployments.drift import drifted
from registry_api.deployments.values import AuthMode, TargetKind, Template

MANIFEST = b"{}"
TEMPLATE = Template(
    build_id="b",
    model="digits",
    version=1,
    digest=digest_bytes(MANIFEST),
    target=TargetKind.PROCESS,
    auth=AuthMode.OPEN,
)
BY_KIND = {
    "bento": (TEMPLATE, "bento/manifest.json"),
    "image": (replace(TEMPLATE, image_id="i"), f"image/blobs/sha256/{hex_of(TEMPLATE.digest)}"),
}


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_manifest_of_the_right_digest_is_no_drift(tmp_path: Path, kind: str) -> None:
    """Bentos and images alike; one byte more is drift, and so is a manifest that is gone."""
    template, name = BY_KIND[kind]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(MANIFEST)
    assert drifted(tmp_path, template) is None
    path.write_bytes(MANIFEST + b" ")
    assert "instead of" in str(drifted(tmp_path, template))
    path.unlink()
    assert "cannot be read" in str(drifted(tmp_path, template))

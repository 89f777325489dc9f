# SPDX-License-Identifier: Apache-2.0
"""Brings an image of an OCI layout into podman's storage, by its digest: whatever names the layout gives it do not count.

podman reads the layout through a view: a folder whose index names this one image, and whose blobs are the layout's. It
checks every blob against its digest once more.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from artifacts.digest import Digest, hex_of
from artifacts.oci.documents import ImageIndex, encode_document
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import IMAGE_MANIFEST, REF_NAME
from artifacts.oci.refusals import missing_blob
from core.errors import ErrorCode, InvalidRequest
from registry_api.deployments.podman.engine import VIEW, Engine
from registry_api.images.builders.configuration import read_configuration
from registry_api.images.builders.machine import own_architecture

NAME: Final = "furoshiki"


def pull(engine: Engine, root: Path, digest: Digest, *, marks: Mapping[str, str] | None = None) -> str:
    """Takes the image ``digest`` of the layout ``root``, unless it is there; call it in the engine's turn.

    Args:
        engine: Where it goes.
        root: The layout, verified.
        digest: Of the image's manifest.
        marks: Variables of the process that reads it.

    Returns:
        Its name in podman's storage, which carries the digest.

    Raises:
        NotFound: ``STORE_002`` if the layout does not hold it.
        SignatureError: A ``SIGN_*`` code if the layout or the image cannot be read.
        InvalidRequest: ``IMAGE_003`` if it is for another architecture than this machine's.
        Unavailable: ``STORE_004`` if the disk is full.
        JobError: ``JOB_002`` if podman fails.
    """
    layout = Layout.open(root)
    size = layout.size_of(digest)
    if size is None:
        raise missing_blob(digest, where="The layout")
    image = Descriptor(media_type=IMAGE_MANIFEST, digest=digest, size=size)
    _check_architecture(layout, image)
    name = f"localhost/{NAME}@{digest}"
    if name not in _images(engine):
        _take(engine, layout, image, marks)
    return name


def _check_architecture(layout: Layout, image: Descriptor) -> None:
    found = read_configuration(layout, layout.manifest(image))
    here = own_architecture()
    if (found.get("os"), found.get("architecture")) != ("linux", here):
        made_for = f"{found.get('os')}/{found.get('architecture')}"
        raise InvalidRequest(
            ErrorCode.IMAGE_PLATFORM,
            f"The image is for {made_for}; this machine is linux/{here}. Build the image for this machine's architecture.",
            details={"got": made_for, "expected": f"linux/{here}"},
        )


def _images(engine: Engine) -> list[str]:
    return engine.run("images", "--no-trunc", "--digests", "--format", "{{.Repository}}@{{.Digest}}").split()


def _take(engine: Engine, layout: Layout, image: Descriptor, marks: Mapping[str, str] | None) -> None:
    folder = Path(mkdtemp(prefix=VIEW, dir=engine.home))
    try:
        view = folder / NAME
        view.mkdir()
        tag = hex_of(image.digest)
        (view / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (view / "index.json").write_bytes(encode_document(ImageIndex(manifests=(image.annotated(**{REF_NAME: tag}),))))
        (view / "blobs").symlink_to(layout.root.resolve() / "blobs")
        engine.run("pull", "--quiet", *engine.policy(), f"oci:{NAME}:{tag}", cwd=folder, marks=marks)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

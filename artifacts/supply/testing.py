# SPDX-License-Identifier: Apache-2.0
"""A small image with a real signed Bento inside, described and signed: for tests of whoever verifies or moves images."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from artifacts.oci.layout import Descriptor, ImageManifest, Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG, LAYER_TAR_GZIP
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.chain import SignedManifest
from artifacts.supply.contents import BENTO_PATH, NAME_LABEL
from artifacts.supply.describing import Making, describe_image
from artifacts.supply.modelpack import MODEL_LAYER, MODEL_PATH
from artifacts.supply.verification import VerifiedImage, verify_image
from artifacts.testing import CREATED, FILES, make_manifest, trust
from core.clock import ManualClock

SYSTEM: Mapping[str, bytes] = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9+deb12u14\nArchitecture: amd64\n",
    "usr/lib/python3/site/msgspec-0.22.0.dist-info/METADATA": b"Name: msgspec\nVersion: 0.22.0\nLicense: BSD\n\ntext\n",
}
BASE = digest_bytes(b"base image")


@dataclass(kw_only=True)
class Described:
    """An image in a layout that a test may damage."""

    layout: Layout
    image: Descriptor
    signer: Ed25519Signer
    policy: TrustPolicy
    bento: Manifest
    making: Making
    subject: Subject

    def verify(self) -> VerifiedImage:
        """Verifies what is in the layout now."""
        return verify_image(self.layout, self.image, BundleVerifier(self.policy, ManualClock()), self.subject)

    def blob(self, descriptor: Descriptor) -> Path:
        """Where a blob lies."""
        return self.layout.root / "blobs" / "sha256" / descriptor.digest.removeprefix("sha256:")

    def flip(self, descriptor: Descriptor) -> None:
        """Changes one bit in the middle of a blob."""
        path = self.blob(descriptor)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)


def layer_of(files: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    """An uncompressed tar of ``files`` and symbolic ``links``."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for path, target in (links or {}).items():
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return data.getvalue()


def put_image(layout: Layout, layers: list[bytes], *, last: str | None = None) -> Descriptor:
    """Writes an image with these uncompressed tars as layers; ``last`` is the name of the last one."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_bytes(layer) for layer in layers]},
    }
    blobs = [layout.put_bytes(gzip.compress(layer, mtime=0), media_type=LAYER_TAR_GZIP) for layer in layers]
    if last is not None:
        blobs[-1] = blobs[-1].annotated(**{NAME_LABEL: last})
    manifest = ImageManifest(
        config=layout.put_bytes(json.dumps(config).encode(), media_type=IMAGE_CONFIG),
        layers=tuple(blobs),
        annotations={"org.opencontainers.image.base.digest": BASE},
    )
    return layout.put_manifest(manifest, tag="image", platform=Platform(architecture="amd64"))


def make_image(
    root: Path, *, converted: bool = False, packed: bool = False, extra: Mapping[str, bytes] | None = None
) -> Described:
    """An image of ``acme/digits@3`` in a new layout.

    Args:
        root: Where to.
        converted: Whether the model inside was made from another, which was uploaded.
        packed: Whether the model is a layer of its own, so that it is attached as a ModelPack artifact too.
        extra: More files, or others in the place of those there are.
    """
    signer = Ed25519Signer.generate()
    uploaded = make_manifest(FILES)
    models = [uploaded]
    if converted:
        models.insert(0, replace(uploaded, variant="onnx-int8/cpu", parent=uploaded.digest))
    signed = [SignedManifest(manifest=m.to_bytes(), signature=sign_manifest(m, signer)) for m in models]
    model = {**FILES, MANIFEST_NAME: signed[0].manifest, SIGNATURE_NAME: signed[0].signature}
    files = {"bento.yaml": b"name: acme.digits\n", **{f"src/model/{path}": data for path, data in model.items()}}
    bento = replace(
        make_manifest(files, kind="bento", signature=None, variant=models[0].variant), parent=models[0].digest
    )
    layout = Layout.create(root)
    placed = {f"{BENTO_PATH}/{path}": data for path, data in files.items()}
    weights = {path: data for path, data in placed.items() if packed and path.startswith(f"{MODEL_PATH}/")}
    rest = {path: data for path, data in placed.items() if path not in weights}
    layers = [layer_of(SYSTEM), layer_of({**rest, **(extra or {})})]
    image = put_image(layout, [*layers, layer_of(weights)] if packed else layers, last=MODEL_LAYER if packed else None)
    making = Making(
        bento=SignedManifest(manifest=bento.to_bytes(), signature=sign_manifest(bento, signer)),
        models=signed,
        base=BASE,
        platform="linux/amd64",
        builder="layers",
        builder_version="1",
        invocation="job-1",
        started=CREATED,
        finished=CREATED,
    )
    describe_image(layout, image, making, signer)
    return Described(
        layout=layout,
        image=image,
        signer=signer,
        policy=trust(signer),
        bento=bento,
        making=making,
        subject=Subject(tenant="acme", model="digits", version=3),
    )

# SPDX-License-Identifier: Apache-2.0
"""For tests of whoever makes or uses images: a base image and Bentos of a few kilobytes, which build in a second or two.

They are complete: the Bento is signed, lists one package, and has the model of the registry inside; the image builder
``layers`` makes a real image of it. Nobody can run one.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from artifacts.digest import digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.oci.layout import ImageManifest, Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.builds.archive import entries, pack
from registry_api.builds.builder import MODEL_FOLDER, BentoBuilder, BuildOptions, Packed
from registry_api.builds.wheel import WheelCache
from registry_api.images.builders.bases.making import TAG
from registry_api.images.builders.layer import Entry, write_layer
from registry_api.jobs.interface import JobTask
from registry_api.models.bundle import fetch_bundle
from registry_api.models.source import Source

WHEEL: Final = "tiny-1.0-py3-none-any.whl"
SYSTEM: Final[Mapping[str, bytes]] = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n",
}
PLAIN: Final = b"name: tiny\n"
WANTS_COMMANDS: Final = b"name: tiny\nimage:\n  commands: [apt-get install -y cowsay]\n"


def tiny_base(folder: Path, *, architecture: str = "amd64") -> Path:
    """Writes a base image into the new folder, as :func:`registry_api.images.builders.bases.making.open_base` takes it."""
    layout = Layout.create(folder)
    layer = write_layer(layout, "base", [Entry(path=path, content=data) for path, data in SYSTEM.items()])
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    manifest = ImageManifest(
        config=layout.put_bytes(json.dumps(config).encode(), media_type=IMAGE_CONFIG), layers=(layer.blob,)
    )
    layout.put_manifest(manifest, tag=TAG, platform=Platform(architecture=architecture))
    return folder


def tiny_wheel() -> bytes:
    """A wheel of one module."""
    metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: furoshiki\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"tiny.py": "ONE = 1\n", "tiny-1.0.dist-info/METADATA": metadata, "tiny-1.0.dist-info/WHEEL": kind}
    record = "".join(f"{name},,\n" for name in (*files, "tiny-1.0.dist-info/RECORD"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in {**files, "tiny-1.0.dist-info/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return data.getvalue()


class TinyBentoBuilder(BentoBuilder):
    """Makes Bentos of the variant's verified bundle and a few files, without BentoML.

    Args:
        store: Where variants are read.
        keys: Tells whom a tenant trusts.
        clock: For the validity of signatures.
        folder: Of no use but to be given on.
        description: The Bentos' ``bento.yaml``.
    """

    def __init__(
        self, store: BlobStore, keys: KeyProvider, clock: Clock, folder: Path, *, description: bytes = PLAIN
    ) -> None:
        options = BuildOptions(bentoml_home=folder, scratch=folder)
        super().__init__(store, keys, clock, wheels=WheelCache(folder, folder), options=options)
        self._description = description

    async def build(self, source: Source, scratch: Path, task: JobTask, *, tuning: bytes | None = None) -> Packed:
        """Stages and packs one."""
        folder, archive = scratch / "tiny", scratch / "tiny.tar"
        policy = await asyncio.to_thread(self._keys.policy, source.tenant)
        await fetch_bundle(self._store, BundleVerifier(policy, self._clock), source, folder / MODEL_FOLDER)
        files = {
            "bento.yaml": self._description,
            "env/python/requirements.txt": f"./wheels/{WHEEL} --hash={digest_bytes(tiny_wheel())}\n".encode(),
            f"src/wheels/{WHEEL}": tiny_wheel(),
            "src/core/code.py": b"CODE = 1\n",
            **({} if tuning is None else {"src/tuning.json": tuning}),
        }
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        await asyncio.to_thread(pack, folder, archive)
        task.log(f"packed a tiny bento of {source.ref}")
        return Packed(archive=archive, files=await asyncio.to_thread(entries, archive))

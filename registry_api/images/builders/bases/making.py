# SPDX-License-Identifier: Apache-2.0
"""Makes base images and keeps them, each under the digest of its recipe.

Law: the same packages give the same image, bit for bit, whoever makes it and where. So a base is as reproducible as its
mirror: a mirror that moves on (a security fix) gives another one, a snapshot gives the same for ever.

An image holds no shell, no package manager, no compiler and no pip; its user is ``nonroot`` (65532), and nothing in it but
``/tmp`` can be written to.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.supply.contents import NAME_LABEL
from core.errors import ErrorCode, InvalidRequest, SignatureError, Unavailable
from registry_api.images.builders.bases.packages import fetch
from registry_api.images.builders.bases.recipe import Recipe
from registry_api.images.builders.bases.unpacking import unpack
from registry_api.images.builders.configuration import ENVIRONMENT, configuration
from registry_api.images.builders.dependencies import compile_folder
from registry_api.images.builders.interface import USER, Base, Tell, wrong_platform
from registry_api.images.builders.layer import Entry, tree, write_layer
from registry_api.images.builders.wheels import PYTHON

TAG: Final = "base"
_CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"
_OPENSSL: Final = "usr/lib/ssl/cert.pem"  # where Debian's OpenSSL looks
_FILES: Final = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
_LINKS: Final = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
_FOLDERS: Final = ("dev", "proc", "run", "sys", "usr/sbin", "usr/lib64", "home")


def make_base(recipe: Recipe, state: Path, *, architecture: str, tell: Tell, mirror: str | None = None) -> Base:
    """The base image of a recipe, made if ``state`` does not keep it.

    Args:
        recipe: What it is made of.
        state: Folder for base images of all recipes.
        architecture: In Go's names.
        tell: Told each step.
        mirror: URL of a Debian mirror; None: this machine's own.

    Raises:
        InvalidRequest: ``IMAGE_003`` if the recipe is not for that architecture.
        Unavailable: ``IMAGE_001`` without mmdebstrap, ``IMAGE_002`` if packages cannot be had, ``STORE_004`` on a full disk.
    """
    if architecture not in recipe.architectures:
        raise wrong_platform(f"The base image {recipe.device!r}", " and ".join(recipe.architectures), architecture)
    made_from = hex_of(digest_bytes(f"{recipe.digest} {architecture} {mirror or ''}".encode()))
    folder = state / f"{recipe.device}-{architecture}-{made_from[:32]}"
    with _alone(state / f".{folder.name}.lock"):
        if not folder.is_dir():
            _make(recipe, architecture, mirror, folder, tell)
    return open_base(folder)


def open_base(folder: Path) -> Base:
    """A base image that lies in an OCI layout.

    Raises:
        Unavailable: ``IMAGE_002`` if there is none.
    """
    try:
        layout = Layout.open(folder)
        found = layout.resolve(TAG)
    except (OSError, SignatureError, InvalidRequest) as error:
        raise _no_base(folder, str(error)) from None
    if found is None:
        raise _no_base(folder, f"its index names no {TAG!r}")
    return Base(layout=layout, image=found)


def _make(recipe: Recipe, architecture: str, mirror: str | None, folder: Path, tell: Tell) -> None:
    scratch = Path(mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        root = scratch / "root"
        root.mkdir()
        archives = fetch(recipe, architecture, scratch / "mmdebstrap", mirror=mirror, tell=tell)
        for archive in archives:
            unpack(archive, root, recipe.excluded)
        tell(f"{len(archives)} packages; compiling Python's own library")
        compile_folder(root / "usr/lib" / f"python{PYTHON}", f"/usr/lib/python{PYTHON}")
        image = _write(recipe, Platform(architecture=architecture), root, Layout.create(scratch / "layout"))
        tell(f"base image {recipe.device} {image.digest}")
        os.rename(scratch / "layout", folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(recipe: Recipe, platform: Platform, root: Path, layout: Layout) -> Descriptor:
    layer = write_layer(layout, "base", _entries(root))
    labels = {"org.opencontainers.image.title": f"furoshiki-base-{recipe.device}"}
    config = configuration(
        platform,
        [layer],
        created=None,
        labels=labels,
        environment={**ENVIRONMENT, **recipe.environment},
        start=("/usr/bin/python3",),
    )
    manifest = ImageManifest(
        config=layout.put_bytes(config, media_type=IMAGE_CONFIG),
        layers=(layer.blob.annotated(**{NAME_LABEL: layer.name}),),
        annotations=labels,
    )
    return layout.put_manifest(manifest, tag=TAG, platform=platform)


def _entries(root: Path) -> Iterator[Entry]:
    yield from tree(root)
    yield from (Entry(path=path, content=text.encode()) for path, text in _FILES.items())
    yield from (Entry(path=path, target=target) for path, target in _LINKS.items())
    yield from (Entry(path=path) for path in _FOLDERS)
    yield Entry(path="tmp", mode=0o1777)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if authorities:
        yield Entry(path=_CERTIFICATES, content=b"".join(path.read_bytes() for path in authorities))
        yield Entry(path=_OPENSSL, target=f"/{_CERTIFICATES}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _no_base(folder: Path, reason: str) -> Unavailable:
    return Unavailable(
        ErrorCode.IMAGE_BASE,
        f"There is no base image in {folder.name!r}: {reason}. Make it: python -m registry_api.images.builders base cpu.",
        details={"folder": folder.name},
    )

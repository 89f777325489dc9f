# SPDX-License-Identifier: Apache-2.0
"""What builders refuse, and the child process of an image job."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Layout, Platform
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.bentoml import BentomlBuilder
from registry_api.images.builders.buildah import BuildahBuilder
from registry_api.images.builders.interface import BuildRequest
from registry_api.images.builders.layers import LayersBuilder
from registry_api.images.builders.spec import ImageResult, ImageSpec
from registry_api.jobs.process import INSTALLATION
from tests.integration.registry_api.images.conftest import AMD64, Bento, Made, Workshop


def test_another_architecture_is_refused(workshop: Workshop, bento: Bento, tmp_path: Path) -> None:
    """An image for arm64 on a base for amd64: IMAGE_003, by every builder of ours."""
    for builder in (LayersBuilder(), BuildahBuilder(), BentomlBuilder()):
        request = BuildRequest(
            bento=bento.folder,
            manifest=bento.manifest,
            base=workshop.base,
            platform=Platform(architecture="arm64"),
            scratch=tmp_path,
            cache=workshop.cache,
        )
        with refused(ErrorCode.IMAGE_PLATFORM, "arm64"):
            builder.build(request, Layout.create(tmp_path / builder.name), print)


def test_a_base_that_bentoml_cannot_have_is_an_error_with_a_code(
    workshop: Workshop, bento: Bento, tmp_path: Path
) -> None:
    """BentoML prints that the hub of its base image does not answer; IMAGE_002 says so, and no image is left."""
    folder = tmp_path / "bento"
    shutil.copytree(bento.folder, folder)
    described = (folder / "bento.yaml").read_text().replace("python:3.11-slim", "127.0.0.1:9/python:3.11")
    (folder / "bento.yaml").write_text(described)
    files = [
        replace(entry, size=len(described), digest=digest_bytes(described.encode()))
        if entry.path == "bento.yaml"
        else entry
        for entry in bento.manifest.files
    ]
    request = BuildRequest(
        bento=folder,
        manifest=replace(bento.manifest, files=tuple(files)),
        base=workshop.base,
        platform=AMD64,
        scratch=tmp_path,
        cache=workshop.cache,
    )
    target = Layout.create(tmp_path / "layout")
    with refused(ErrorCode.IMAGE_BASE, "127.0.0.1:9"):
        BentomlBuilder().build(request, target, print)
    assert target.index().manifests == ()


def _child(spec: ImageSpec, folder: Path, *, file_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    (folder / "spec.json").write_bytes(msgspec.json.encode(spec))

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(
        [sys.executable, "-m", "registry_api.images.builders", "build", "spec.json", "result.json"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(INSTALLATION), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


def _spec(workshop: Workshop, bento: Bento, folder: Path) -> ImageSpec:
    return ImageSpec(
        bento=str(bento.folder),
        builder="layers",
        device="cpu",
        base=str(workshop.base.layout.root),
        bases=str(folder / "bases"),
        scratch=str(folder),
        cache=str(workshop.cache),
        target=str(folder / "target"),
    )


def test_the_child_process_of_a_job_makes_the_same_image(
    workshop: Workshop, image: Made, bento: Bento, tmp_path: Path
) -> None:
    """``python -m registry_api.images.builders build`` says which builder, and writes what the image became."""
    done = _child(_spec(workshop, bento, tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("builder layers: it was asked for")
    result = msgspec.json.decode((tmp_path / "result.json").read_bytes(), type=ImageResult)
    assert (result.digest, result.base) == (image.built.image.digest, workshop.base.image.digest)
    assert Layout.open(tmp_path / "target").manifest(result.image).config.size > 0


def test_a_full_disk_is_an_error_with_a_code(workshop: Workshop, image: Made, bento: Bento, tmp_path: Path) -> None:
    """STORE_004, and no image: files may grow to a megabyte only, so the base's layer does not fit."""
    done = _child(_spec(workshop, bento, tmp_path), tmp_path, file_bytes=1 << 20)
    assert done.returncode == 3, done.stdout + done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["code"] == "STORE_004"
    assert Layout.open(tmp_path / "target").index().manifests == ()

# SPDX-License-Identifier: Apache-2.0
"""Images: OCI images of Bentos, signed, with SBOM and provenance; by digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from furoshiki.api import API, get_request, json_request
from furoshiki.jobs import JobError, OnJob, until_made
from furoshiki.layouts import ImageFolder, LayoutDownload
from furoshiki.progress import OnProgress
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """One layer of an image."""

    name: str  # "base", "dependencies", "code", "release" or "model"; "other" for what BentoML made
    digest: str  # of its blob
    size: int  # bytes of its blob
    cached: bool  # whether it was taken from an earlier build


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image, made or in the making."""

    id: str
    tenant: str
    build_id: str
    model: str
    version: int
    variant: str
    state: str  # "queued", "running", "succeeded" or "failed"
    device: str  # class of its base: "cpu", "cuda" or "edge"
    builder: str  # that made it; until then as asked for
    builder_version: str | None = None
    reason: str | None = None  # why this builder
    platform: str | None = None  # "linux/amd64"
    digest: str | None = None  # of its manifest; None until it is made
    compressed_bytes: int | None = None  # of all layers
    layers: tuple[ImageLayer, ...] = ()  # the lowest first
    base: str | None = None  # digest of the image it is built on
    key_id: str | None = None
    job_id: str
    error: JobError | None = None
    created_at: datetime
    finished_at: datetime | None = None


class Images(Resource[D]):
    """``client.images``."""

    @operation
    def create(
        self, build_id: str, *, builder: str | None = None, device: str | None = None, architecture: str | None = None
    ) -> Steps[Image]:
        """Starts to make an image.

        Args:
            build_id: The build whose Bento goes in.
            builder: ``buildah``, ``layers`` or ``bentoml``; None: whichever fits, and the image says which and why.
            device: Which base it is built on: ``cpu``, ``cuda`` or ``edge``; None: ``cpu``.
            architecture: Of the processor, such as ``arm64``; None: ``amd64``.

        Raises:
            NotFound: ``BUILD_001`` if there is no such build.
            Conflict: ``STATE_001`` if the build is not finished.
        """
        fields = {"build_id": build_id, "builder": builder, "device": device, "architecture": architecture}
        return (yield from self._api.fetch(json_request("POST", "/images", fields), Image))

    @operation
    def get(self, image_id: str) -> Steps[Image]:
        """One image."""
        return (yield from self._api.fetch(get_request(path("images", image_id)), Image))

    @listing
    def list(self) -> Items[Image]:
        """The tenant's images, newest first."""
        yield from self._api.pages("/images", Image)

    @operation
    def wait(self, image_id: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Image]:
        """Waits until an image is made.

        Args:
            image_id: The image.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the image's job after every look at it.

        Raises:
            JobFailed: If it could not be made.
            DeadlineExceeded: ``TIMEOUT_001``; the job goes on.
        """
        get = partial(Images.get.steps, self, image_id)
        return (yield from until_made(self, get, timeout=timeout, progress=progress))

    @operation
    def download(
        self, image_id: str, directory: str | Path, *, progress: OnProgress | None = None
    ) -> Steps[ImageFolder]:
        """Downloads an image and everything attached to it, as an OCI layout. Run again, it goes on where it was cut.

        Args:
            image_id: The image.
            directory: Where to: new, empty, or what an earlier download of the same image left.
            progress: Told the bytes so far.

        Raises:
            Conflict: ``STATE_001`` if the image is not made yet.
            SignatureRefused: ``SIGN_004`` if something arrives that is not what its digest says.
            InvalidRequest: ``CLIENT_004`` if the folder cannot be written, or holds something else.
        """
        image = yield from Images.get.steps(self, image_id)
        download = LayoutDownload(self._api, API + path("images", image_id), Path(directory), progress)
        return (yield from download.run(image.digest or ""))

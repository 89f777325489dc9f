# SPDX-License-Identifier: Apache-2.0
"""Builds: Bentos made of one variant of one version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from furoshiki.api import get_request, json_request
from furoshiki.jobs import JobError, OnJob, until_made
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One Bento, made or in the making."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str
    state: str  # "queued", "running", "succeeded" or "failed"
    tag: str | None = None  # BentoML's name for it; None until it is built
    size: int | None = None  # bytes
    digest: str | None = None  # of its signed manifest
    archive_digest: str | None = None
    key_id: str | None = None
    job_id: str
    error: JobError | None = None
    created_at: datetime
    finished_at: datetime | None = None


class Builds(Resource[D]):
    """``client.builds``."""

    @operation
    def create(
        self,
        model: str,
        *,
        version: int | None = None,
        variant: str | None = None,
        device: str | None = None,
        objective: str | None = None,
    ) -> Steps[Build]:
        """Starts a build.

        Args:
            model: The model.
            version: Its version; None: the one in production, else the newest.
            variant: Such as ``onnx-fp32/cpu``; None: chosen for ``device`` and ``objective``.
            device: Where it is to run; None: the CPU.
            objective: As for :meth:`furoshiki.variants.Variants.choose`; None: what was uploaded, if a runner loads that.
        """
        fields = {"model": model, "version": version, "variant": variant, "device": device, "objective": objective}
        return (yield from self._api.fetch(json_request("POST", "/builds", fields), Build))

    @operation
    def get(self, build_id: str) -> Steps[Build]:
        """One build."""
        return (yield from self._api.fetch(get_request(path("builds", build_id)), Build))

    @listing
    def list(self) -> Items[Build]:
        """The tenant's builds, newest first."""
        yield from self._api.pages("/builds", Build)

    @operation
    def wait(self, build_id: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Build]:
        """Waits until a build has succeeded.

        Args:
            build_id: The build.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the build's job after every look at it.

        Raises:
            JobFailed: If the build failed.
            DeadlineExceeded: ``TIMEOUT_001``; the build goes on.
        """
        get = partial(Builds.get.steps, self, build_id)
        return (yield from until_made(self, get, timeout=timeout, progress=progress))

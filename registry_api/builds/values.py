# SPDX-License-Identifier: Apache-2.0
"""Builds as values."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest
from core.errors import ErrorCode
from registry_api.jobs.interface import JobKind
from registry_api.jobs.states import JobState
from registry_api.products.kind import ProductKind
from registry_api.products.values import Product

BUILD: Final = ProductKind(name="build", job=JobKind.BUILD, unknown=ErrorCode.BUILD_NOT_FOUND)

_TAG_CHARS: Final = 63  # BentoML's limit for a name and for a version
_TAG: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


class BuildState(StrEnum):
    """Where a build is: the state of its job, told in the build's words."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # the Bento is being made
    SUCCEEDED = "succeeded"  # signed and stored
    FAILED = "failed"  # the error says why; a cancelled job counts as failed


_OF_JOB: Final = {
    JobState.QUEUED: BuildState.QUEUED,
    JobState.RUNNING: BuildState.RUNNING,
    JobState.SUCCEEDED: BuildState.SUCCEEDED,
    JobState.FAILED: BuildState.FAILED,
    JobState.CANCELLED: BuildState.FAILED,
}


def state_of(job: JobState) -> BuildState:
    """The state of the build a job works for."""
    return _OF_JOB[job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bento:
    """A finished Bento: its name, and where its signed parts are in the blob store."""

    tag: str  # "<name>:<version>" of BentoML
    size: int  # bytes of its files
    digest: Digest  # of its manifest
    signature_digest: Digest  # of the blob that holds its signature
    archive_digest: Digest  # of the tar with its files
    key_id: str  # of the key that signed it


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(Product):
    """A build as stored."""

    bento: Bento | None  # None: not finished, or failed

    @property
    def state(self) -> BuildState:
        """Where it is."""
        return state_of(self.job.state)


def bento_name(tenant: str, model: str) -> str:
    """The Bento name of a model: ``acme.digits``.

    Law: two models never share one. A dot in the tenant's name is doubled (names hold no two dots in a row), so the first
    single dot ends the tenant.
    """
    return _fitting(f"{tenant.replace('.', '..')}.{model}")


def bento_version(version: int, variant: str) -> str:
    """The Bento version of a variant: ``v3-onnx-fp32-cpu``."""
    return _fitting(f"v{version}-{variant.replace('/', '-')}")


def _fitting(text: str) -> str:
    """``text``, or where BentoML does not accept it, its beginning and 64 bits of its digest."""
    if len(text) <= _TAG_CHARS and _TAG.fullmatch(text) is not None:
        return text
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: _TAG_CHARS - len(mark) - 3]}...{mark}"

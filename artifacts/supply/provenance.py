# SPDX-License-Identifier: Apache-2.0
"""How an image was made: SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance).

``resolvedDependencies`` are everything that went in, by digest: the Bento, each manifest on the way back to the upload, and
the base image. Times are of the build, so unlike image and SBOM the provenance differs from build to build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from artifacts.digest import Digest, hex_of
from core.clock import rfc3339

BUILD_TYPE: Final = "https://furoshiki.dev/image-build/v1"
_BUILDERS: Final = "https://furoshiki.dev/image-builders/"
_BENTO: Final = "bento"
_MODEL: Final = "model:"
_BASE: Final = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a build says of itself."""

    bento: Digest  # of its manifest
    models: tuple[
        tuple[str, Digest], ...
    ]  # name and manifest digest of each model bundle, from the Bento's to the upload's
    base: Digest  # of the base image's manifest
    platform: str  # "linux/amd64"
    builder: str  # "layers"
    builder_version: str
    invocation: str  # id of the job
    started: datetime
    finished: datetime


class _Dependency(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    digest: dict[str, str]


class _Definition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    build_type: str
    external_parameters: dict[str, str]
    resolved_dependencies: tuple[_Dependency, ...]


class _Builder(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: dict[str, str]


class _Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    invocation_id: str
    started_on: datetime
    finished_on: datetime


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    builder: _Builder
    metadata: _Metadata


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    build_definition: _Definition
    run_details: _Details


def predicate_of(made: Provenance) -> dict[str, Any]:
    """The predicate of an in-toto statement."""
    inputs = [(_BENTO, made.bento), *((_MODEL + name, digest) for name, digest in made.models), (_BASE, made.base)]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"platform": made.platform},
            "internalParameters": {},
            "resolvedDependencies": [{"name": name, "digest": {"sha256": hex_of(digest)}} for name, digest in inputs],
        },
        "runDetails": {
            "builder": {"id": _BUILDERS + made.builder, "version": {made.builder: made.builder_version}},
            "metadata": {
                "invocationId": made.invocation,
                "startedOn": rfc3339(made.started),
                "finishedOn": rfc3339(made.finished),
            },
        },
    }


def provenance_in(predicate: Mapping[str, Any]) -> Provenance:
    """Reads a predicate.

    Law: ``provenance_in(predicate_of(made)) == made``, with times in whole milliseconds.

    Raises:
        ValueError: If it is not one of this build type.
    """
    read = msgspec.convert(predicate, _Predicate)
    if read.build_definition.build_type != BUILD_TYPE:
        raise ValueError(f"build type {read.build_definition.build_type[:100]!r}")
    inputs = [(found.name, "sha256:" + found.digest["sha256"]) for found in read.build_definition.resolved_dependencies]
    named = dict(inputs)
    details = read.run_details
    builder = details.builder.id.removeprefix(_BUILDERS)
    return Provenance(
        bento=named[_BENTO],
        models=tuple((name.removeprefix(_MODEL), digest) for name, digest in inputs if name.startswith(_MODEL)),
        base=named[_BASE],
        platform=read.build_definition.external_parameters["platform"],
        builder=builder,
        builder_version=details.builder.version[builder],
        invocation=details.metadata.invocation_id,
        started=details.metadata.started_on,
        finished=details.metadata.finished_on,
    )

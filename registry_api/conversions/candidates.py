# SPDX-License-Identifier: Apache-2.0
"""From what a child left in a folder to signed variants and signed reports.

The child ran what a tenant uploaded, so nothing it says is taken for granted: names are parsed, files are opened without
following links, digests are computed here. It can be wrong about how good its own work is and about nothing else: a signature
that is not the model's makes the model refuse to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import rfc8785

from artifacts.digest import Digest, StreamingDigest, digest_bytes
from artifacts.formats import FORMATS
from artifacts.manifest import FileEntry, Manifest
from artifacts.manifest_rules import MAX_FILES
from artifacts.paths import check_distinct, check_path
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.documents import Claim, DocumentKind, sign_document
from artifacts.signing.interface import Signer
from artifacts.source import DirectorySource
from converters.spec import Candidate, folder_name
from core.clock import Clock, rfc3339
from core.errors import ErrorCode, FuroshikiError, JobError
from registry_api.conversions.calibrations.values import Calibration
from registry_api.conversions.values import Conversion, parse_target

PRODUCER: Final = "furoshiki-registry"
PREFIX: Final = "conversion."  # of the metadata that the registry adds to a converted variant
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all candidates of one conversion have in common."""

    conversion: Conversion
    calibration: Calibration | None
    environment: Mapping[str, Any]
    folder: Path  # that the child wrote into


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A candidate ready to be stored."""

    candidate: Candidate
    manifest: Manifest
    data: bytes  # of the manifest
    signature: bytes | None  # of the manifest; None: the candidate was rejected
    report: bytes  # canonical JSON
    report_signature: bytes
    key_id: str

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return digest_bytes(self.data)


def drafted(work: Work, candidate: Candidate, signer: Signer, clock: Clock) -> Drafted:
    """Manifest, report and their signatures. Reads every file and may ask another machine, so this blocks.

    Raises:
        JobError: ``JOB_002`` if the child's answer contradicts itself or its files.
        SignatureError: ``SIGN_*`` if a path or a field cannot be part of a bundle.
    """
    target = _checked(work, candidate)
    manifest = _manifest(work, candidate, _entries(work.folder / folder_name(target), candidate), clock)
    data = manifest.to_bytes()
    report = rfc8785.dumps(_document(work, candidate, digest_bytes(data), clock))
    claim = report_claim(
        work.conversion, candidate.variant, digest_bytes(report), digest_bytes(data), candidate.accepted
    )
    return Drafted(
        candidate=candidate,
        manifest=manifest,
        data=data,
        signature=sign_manifest(manifest, signer) if candidate.accepted else None,
        report=report,
        report_signature=sign_document(claim, signer),
        key_id=signer.key_id,
    )


def report_claim(conversion: Conversion, variant: str, report: Digest, manifest: Digest, accepted: bool) -> Claim:
    """What the signature of a report says.

    Args:
        conversion: Whose.
        variant: Of the candidate.
        report: Digest of the report's bytes.
        manifest: Digest of the candidate's manifest.
        accepted: Whether it may be served.
    """
    source = conversion.source
    name = f"{source.ref} {variant}"
    return Claim(
        kind=DocumentKind.PARITY,
        name=f"report of {name}",
        digest=report,
        about={name: manifest, f"{source.ref} {source.variant}": source.digest},
        facts={"accepted": accepted, "conversion": conversion.id},
    )


def _checked(work: Work, candidate: Candidate) -> str:
    """The candidate's variant, after all that can be checked without its files."""
    try:
        target = parse_target(candidate.variant)
    except FuroshikiError as error:
        raise _wrong(error.message) from None
    plan = work.conversion.plan
    stated = (candidate.variant, candidate.format, candidate.precision)
    if (target.variant, target.format, target.precision) != stated:
        raise _wrong(f"variant, format and precision are {', '.join(map(repr, stated))}")
    if target.format != plan.target.format or (target != plan.target and not plan.auto):
        raise _wrong(f"variant {candidate.variant!r} was not asked for")
    report = candidate.report
    if (report.variant, report.accepted) != (candidate.variant, candidate.accepted):
        raise _wrong(f"the report of {candidate.variant!r} is of {report.variant!r} and says {report.verdict!r}")
    return target.variant


def _entries(folder: Path, candidate: Candidate) -> tuple[FileEntry, ...]:
    """The files as they are, opened without following a link."""
    if not 0 < len(candidate.files) <= MAX_FILES:
        raise _wrong(f"candidate {candidate.variant!r} has {len(candidate.files)} files")
    source = DirectorySource(folder)
    entries = []
    for path in candidate.files:
        digest = StreamingDigest()
        with source.open(check_path(path)) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        entries.append(FileEntry(path=path, size=digest.size, digest=digest.value))
    check_distinct(candidate.files)
    FORMATS[candidate.format].main(candidate.files)
    return tuple(entries)


def _manifest(work: Work, candidate: Candidate, files: tuple[FileEntry, ...], clock: Clock) -> Manifest:
    source = work.conversion.source
    added = {"id": work.conversion.id, "route": ",".join(candidate.route)}
    if work.calibration is not None:
        added["calibration"] = work.calibration.digest
    return Manifest(
        kind="model",
        tenant=source.tenant,
        model=source.model,
        version=source.version,
        variant=candidate.variant,
        format=candidate.format,
        files=files,
        signature=candidate.signature.signature(),
        parent=source.digest,
        producer=PRODUCER,
        created_at=clock.now(),
        metadata={**candidate.metadata, **{PREFIX + name: value for name, value in added.items()}},
    )


def _document(work: Work, candidate: Candidate, manifest: Digest, clock: Clock) -> dict[str, Any]:
    """What is signed as the report: the numbers, and all that is needed to make them again."""
    conversion, source, calibration = work.conversion, work.conversion.source, work.calibration
    return {
        "conversion": conversion.id,
        "variant": candidate.variant,
        "digest": manifest,
        "accepted": candidate.accepted,
        "reasons": list(candidate.reasons),
        "created_at": rfc3339(clock.now()),
        "report": msgspec.to_builtins(candidate.report),
        "reproduce": {
            "source": {"model": str(source.ref), "variant": source.variant, "digest": source.digest},
            "target": conversion.plan.target.variant,
            "auto": conversion.plan.auto,
            "route": list(candidate.route),
            "thresholds": conversion.plan.thresholds,
            "calibration": calibration and {"name": calibration.name, "digest": calibration.digest},
            "seconds": candidate.seconds,
            "peak_bytes": candidate.peak_bytes,
            "environment": dict(work.environment),
        },
    }


def _wrong(what: str) -> JobError:
    return JobError(ErrorCode.JOB_FAILED, f"The converting process contradicts itself: {what[:500]}.")

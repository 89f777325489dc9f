# SPDX-License-Identifier: Apache-2.0
"""Puts what a conversion made into the blob store: all of an accepted candidate, of a rejected one its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from artifacts.digest import Digest
from artifacts.stores.interface import BlobStore
from converters.parity.report import Report
from converters.spec import folder_name
from registry_api.conversions.candidates import Drafted, Work
from registry_api.conversions.values import Made, Result, parse_target
from registry_api.models.transfer import upload, upload_bytes

Picture: TypeAlias = Callable[[Report], bytes]
"""Draws a report as SVG."""


async def stored(store: BlobStore, work: Work, draft: Drafted, picture: Picture) -> Made:
    """Stores one candidate.

    Raises:
        Unavailable: ``STORE_001`` or ``STORE_004``.
    """
    tenant, candidate = work.conversion.source.tenant, draft.candidate
    signature_digest = None
    if draft.signature is not None:
        for entry in draft.manifest.files:
            await upload(store, tenant, work.folder / folder_name(candidate.variant) / entry.path)
        await upload_bytes(store, tenant, draft.data)
        signature_digest = await upload_bytes(store, tenant, draft.signature)
    result = Result(
        conversion=work.conversion.id,
        variant=candidate.variant,
        digest=draft.digest,
        size=draft.manifest.size,
        accepted=candidate.accepted,
        reasons=candidate.reasons,
        route=candidate.route,
        report=candidate.report,
        report_digest=await upload_bytes(store, tenant, draft.report),
        report_signature_digest=await upload_bytes(store, tenant, draft.report_signature),
        picture_digest=await upload_bytes(store, tenant, picture(candidate.report)),
        key_id=draft.key_id,
    )
    target = parse_target(candidate.variant)
    return Made(
        result=result,
        format=target.format,
        precision=target.precision,
        device=target.device,
        signature_digest=signature_digest,
        files=draft.manifest.files if candidate.accepted else (),
    )


def blobs_of(made: Made) -> tuple[Digest, ...]:
    """All that :func:`stored` put into the store."""
    result = made.result
    report = (result.report_digest, result.report_signature_digest, result.picture_digest)
    if made.signature_digest is None:
        return report
    return (*report, result.digest, made.signature_digest, *(entry.digest for entry in made.files))

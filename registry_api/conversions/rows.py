# SPDX-License-Identifier: Apache-2.0
"""Turns rows of conversions into values and back."""

from __future__ import annotations

import msgspec

from converters.parity.report import Report
from registry_api.conversions.tables import ConversionResultRow, ConversionRow
from registry_api.conversions.values import Conversion, Plan, Result, parse_target
from registry_api.jobs.interface import Job
from registry_api.models.rows import source_value


def to_conversion(row: ConversionRow, job: Job, results: tuple[Result, ...]) -> Conversion:
    """The conversion of a row, with its job and results."""
    plan = Plan(
        target=parse_target(row.target),
        auto=row.auto,
        route=None if row.route is None else tuple(row.route),
        thresholds=row.thresholds,
        calibration=row.calibration,
    )
    return Conversion(
        id=row.id,
        source=source_value(row, row.tenant),
        plan=plan,
        job=job,
        results=results,
        environment=row.environment,
        created_at=row.created_at,
    )


def result_row(result: Result, tenant: str) -> ConversionResultRow:
    """The row of a new result."""
    return ConversionResultRow(
        tenant=tenant,
        conversion_id=result.conversion,
        variant=result.variant,
        digest=result.digest,
        size=result.size,
        accepted=result.accepted,
        reasons=list(result.reasons),
        route=list(result.route),
        report=msgspec.to_builtins(result.report),
        report_digest=result.report_digest,
        report_signature_digest=result.report_signature_digest,
        picture_digest=result.picture_digest,
        key_id=result.key_id,
    )


def result_value(row: ConversionResultRow) -> Result:
    """The result of a row."""
    return Result(
        conversion=row.conversion_id,
        variant=row.variant,
        digest=row.digest,
        size=row.size,
        accepted=row.accepted,
        reasons=tuple(row.reasons),
        route=tuple(row.route),
        report=msgspec.convert(row.report, Report),
        report_digest=row.report_digest,
        report_signature_digest=row.report_signature_digest,
        picture_digest=row.picture_digest,
        key_id=row.key_id,
    )

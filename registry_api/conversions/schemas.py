# SPDX-License-Identifier: Apache-2.0
"""Conversions as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Field

from artifacts.formats import FORMATS
from registry_api.conversions.calibrations.schemas import CalibrationName
from registry_api.conversions.values import PRECISIONS, Conversion, Plan, Result, parse_target
from registry_api.http.fields import Flag, Incoming, Label, Outgoing, Timestamp, Variant
from registry_api.jobs.schemas import FaultOut
from registry_api.jobs.states import JobState

Amount: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1)]
_FORMATS: Final = "|".join(name for name, form in FORMATS.items() if form.executable)
_TARGET: Final = rf"^({_FORMATS})(-({'|'.join(PRECISIONS)}))?(/[a-z0-9][a-z0-9._-]{{0,31}})?$"

Wanted: TypeAlias = Annotated[
    str,
    Field(
        pattern=_TARGET,
        max_length=100,
        description="`<format>-<precision>/<device>`; fp32 and cpu may be left out.",
        examples=["tflite-int8"],
    ),
]


class ThresholdsIn(Incoming):
    """Bounds that a result must keep; null: not judged."""

    max_relative: Amount | None = None
    mean_relative: Amount | None = None
    cosine: Annotated[float, Field(strict=True, ge=-1, le=1)] | None = None
    top1_agreement: Share | None = None
    metric_drop: Share | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"cosine": 0.99, "top1_agreement": 0.9}]})


class ConversionIn(Incoming):
    """What to make of a version."""

    to: Wanted
    variant: Variant | None = Field(default=None, description="The source. Left out: the one that was uploaded.")
    auto: Flag = Field(default=False, description="Try every sensible precision of that format, keep the best.")
    route: Annotated[list[Label], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="Recipes in their order. Left out: the cheapest route that keeps batches of any size."
    )
    calibration: CalibrationName | None = Field(default=None, description="Calibration data of the model.")
    thresholds: ThresholdsIn | None = Field(
        default=None, description="Bounds of the parity gate instead of those of the precision."
    )

    def plan(self) -> Plan:
        """The request as a value.

        Raises:
            InvalidRequest: ``VALID_002`` if the target is none.
        """
        return Plan(
            target=parse_target(self.to),
            auto=self.auto,
            route=None if self.route is None else tuple(self.route),
            thresholds=None if self.thresholds is None else self.thresholds.model_dump(exclude_unset=True),
            calibration=self.calibration,
        )


class ResultOut(Outgoing):
    """One candidate: a variant if it was accepted."""

    variant: str
    digest: str = Field(description="Of its manifest; that of a rejected one was neither signed nor stored.")
    size: int = Field(description="Bytes of its files.")
    accepted: bool
    reasons: list[str] = Field(description="Why it was rejected.")
    route: list[str]
    cosine: float
    max_abs: float
    top1_agreement: float | None = Field(description="Null: no output has classes.")
    ratio: float = Field(description="How many times smaller than its source it is.")
    p50_ms: float | None = Field(description="Median of one execution of one row, or of the fewest that were measured.")
    source_p50_ms: float | None = Field(description="Of its source, measured in turns with it.")
    key_id: str = Field(description="The key that signed the report.")

    @classmethod
    def of(cls, result: Result) -> ResultOut:
        """Shows a result."""
        report = result.report
        smallest = report.smallest_batch
        return cls(
            variant=result.variant,
            digest=result.digest,
            size=result.size,
            accepted=result.accepted,
            reasons=list(result.reasons),
            route=list(result.route),
            cosine=report.cosine,
            max_abs=report.max_abs,
            top1_agreement=report.top1_agreement,
            ratio=report.ratio,
            p50_ms=None if smallest is None else smallest.ms,
            source_p50_ms=None if smallest is None else smallest.source_ms,
            key_id=result.key_id,
        )


class ConversionOut(Outgoing):
    """A conversion."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str = Field(description="The source.")
    digest: str = Field(description="Of the source's manifest.")
    to: str
    auto: bool
    route: list[str] | None = Field(description="As asked for; null: the cheapest.")
    calibration: str | None
    thresholds: dict[str, float | None] | None
    state: JobState
    results: list[ResultOut]
    environment: dict[str, Any] | None = Field(description="Of the process that converted.")
    job_id: str
    created_at: Timestamp
    finished_at: Timestamp | None
    error: FaultOut | None

    @classmethod
    def of(cls, conversion: Conversion) -> ConversionOut:
        """Shows a conversion."""
        source, plan = conversion.source, conversion.plan
        return cls(
            id=conversion.id,
            tenant=source.tenant,
            model=source.model,
            version=source.version,
            variant=source.variant,
            digest=source.digest,
            to=plan.target.variant,
            auto=plan.auto,
            route=None if plan.route is None else list(plan.route),
            calibration=plan.calibration,
            thresholds=None if plan.thresholds is None else dict(plan.thresholds),
            state=conversion.job.state,
            results=[ResultOut.of(result) for result in conversion.results],
            environment=None if conversion.environment is None else dict(conversion.environment),
            job_id=conversion.job.id,
            created_at=conversion.created_at,
            finished_at=conversion.job.finished_at,
            error=FaultOut.of(conversion.job.error),
        )


class RecipeOut(Outgoing):
    """One step that a conversion may take."""

    name: str
    kind: str
    source: str = Field(description="Format.")
    target: str = Field(description="Format.")
    precision: str | None = Field(description="What a quantizing step makes; null: the precision is kept.")
    dynamic_batch: bool
    cost_s: float
    needs: list[str] = Field(description="Distributions.")
    unavailable: str | None = Field(description="Why it cannot run on this machine; null: it can.")


class RouteOut(Outgoing):
    """The way from one format to another."""

    source: str
    target: str
    steps: list[str] = Field(description="Recipes.")
    dynamic_batch: bool
    cost_s: float
    unavailable: str | None = Field(description="Why it cannot be taken on this machine; null: it can.")


class RoutesOut(Outgoing):
    """Every recipe, and the best route between each two formats."""

    recipes: list[RecipeOut]
    routes: list[RouteOut]

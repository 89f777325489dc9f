# SPDX-License-Identifier: Apache-2.0
"""Gates as the API speaks of them. The rules of gates are stored as they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from registry_api.http.access import Role
from registry_api.http.fields import Flag, Incoming, Label, Moment, Outgoing, Text, distinct, whole
from registry_api.promotion.freezes import Freeze, Interval, Weekly
from registry_api.promotion.gates import Budget, Gate, Gates, Report, approvers

_DAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

TARGET_PATTERN: Final = r"^(STAGING|PRODUCTION|@[a-z](\.?[a-z0-9_-])*\.?)$"

Target: TypeAlias = Annotated[
    str,
    Field(pattern=TARGET_PATTERN, max_length=64, examples=["PRODUCTION"]),
]
Limit: TypeAlias = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=100), BeforeValidator(whole)]
_Roles: TypeAlias = Annotated[frozenset[Role], BeforeValidator(distinct)]


class BudgetIn(Incoming):
    """How fast a version must have been measured."""

    p50_ms: Limit | None = Field(default=None, description="At most.")
    p99_ms: Limit | None = Field(default=None, description="At most.")
    rows_per_s: Limit | None = Field(default=None, description="At least.")


class IntervalIn(Incoming):
    """A freeze from one moment to another."""

    kind: Literal["interval"]
    start: Moment
    end: Moment
    reason: Text = ""

    @model_validator(mode="after")
    def _in_order(self) -> IntervalIn:
        if self.end <= self.start:
            raise ValueError("end is not after start")
        return self

    def value(self) -> Freeze:
        """The freeze."""
        return Interval(start=self.start, end=self.end, reason=self.reason)


WeekTime: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^(MON|TUE|WED|THU|FRI|SAT|SUN) ([01][0-9]|2[0-3]):[0-5][0-9]$",
        examples=["FRI 18:00"],
        description="In UTC.",
    ),
]


class WeeklyIn(Incoming):
    """A freeze at the same time of every week, in UTC."""

    kind: Literal["weekly"]
    start: WeekTime
    end: WeekTime
    reason: Text = ""

    def value(self) -> Freeze:
        """The freeze."""
        return Weekly(start=_since_monday(self.start), end=_since_monday(self.end), reason=self.reason)


def _since_monday(text: str) -> timedelta:
    return timedelta(days=_DAYS.index(text[:3]), hours=int(text[4:6]), minutes=int(text[7:9]))


class GatesIn(Incoming):
    """What a target asks for; what is left out is not asked for."""

    signature: Flag = Field(default=False, description="The signature verifies at the moment of the move.")
    parity: Flag = Field(default=False, description="The newest parity report passed.")
    evaluation: Flag = Field(default=False, description="There is an evaluation report.")
    latency: BudgetIn | None = Field(default=None, description="Measured by a tuning or a report, and within it.")
    sbom: Flag = Field(default=False, description="There is a bill of materials.")
    card_fields: Annotated[tuple[Label, ...], Field(max_length=32)] = ()
    approvals: Count = Field(default=0, description="By people who did not register the version.")
    mover_counts: Flag = Field(default=True, description="Whether the one who moves it may be one of them.")
    roles: _Roles = Field(default=frozenset(), description="Who may move; empty: whoever has the action.")
    freezes: Annotated[
        tuple[Annotated[IntervalIn | WeeklyIn, Field(discriminator="kind")], ...], Field(max_length=64)
    ] = ()
    plugins: Annotated[frozenset[Label], BeforeValidator(distinct)] = Field(
        default=frozenset(),
        max_length=16,
        description="Gates of other distributions, by name; see how to write a plugin.",
    )
    override: Flag = Field(default=False, description="Whether `tenant-admin` may move it in an emergency.")

    def rules(self) -> dict[str, Any]:
        """As they are stored."""
        rules: dict[str, Any] = json.loads(self.model_dump_json())
        rules["roles"] = sorted(rules["roles"])
        rules["plugins"] = sorted(rules["plugins"])
        return rules

    def value(self) -> Gates:
        """The gates."""
        return Gates(
            signature=self.signature,
            parity=self.parity,
            evaluation=self.evaluation,
            latency=None if self.latency is None else Budget(**self.latency.model_dump()),
            sbom=self.sbom,
            card_fields=self.card_fields,
            approvals=self.approvals,
            mover_counts=self.mover_counts,
            roles=self.roles,
            freezes=tuple(freeze.value() for freeze in self.freezes),
            plugins=tuple(sorted(self.plugins)),
            override=self.override,
        )


def gates_of(rules: Mapping[str, Any]) -> Gates:
    """The gates of stored rules."""
    return GatesIn.model_validate_json(json.dumps(dict(rules))).value()


class GatesOut(Outgoing):
    """What a target asks for."""

    target: str
    gates: GatesIn

    @classmethod
    def of(cls, target: str, rules: Mapping[str, Any]) -> GatesOut:
        """Shows stored rules."""
        return cls(target=target, gates=GatesIn.model_validate_json(json.dumps(dict(rules))))


class UnmetOut(Outgoing):
    """A gate that is not met."""

    gate: str = Field(description=f"{', '.join(Gate)}, or the name of a plugin.")
    message: str = Field(description="What is wrong, and how to meet it.")


class ReadinessOut(Outgoing):
    """Whether a version could move now, and what an approval of it must name."""

    model: str
    version: int
    target: str
    ready: bool
    state: str = Field(description="Digest of version, target, evidence, card and rules: what is approved.")
    approvals: int = Field(description="That count now.")
    unmet: list[UnmetOut]

    @classmethod
    def of(cls, report: Report) -> ReadinessOut:
        """Shows a report."""
        return cls(
            model=report.model,
            version=report.version,
            target=report.target,
            ready=not report.unmet,
            state=report.findings.state,
            approvals=len(approvers(report.gates, report.findings)),
            unmet=[UnmetOut(gate=lack.gate, message=lack.message) for lack in report.unmet],
        )

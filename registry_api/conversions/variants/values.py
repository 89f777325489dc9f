# SPDX-License-Identifier: Apache-2.0
"""The forms of a version as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from registry_api.conversions.values import Result
from registry_api.models.values import Variant


class FormState(StrEnum):
    """What may be done with a form; the comment on each line is its meaning."""

    SOURCE = "source"  # it was uploaded
    ACCEPTED = "accepted"  # converted, and close enough to its source
    REJECTED = "rejected"  # converted, and not close enough: it is on record and nothing else
    REVOKED = "revoked"  # it, or something it was made from, is revoked


class Objective(StrEnum):
    """What a form is chosen for; the comment on each line is what the best has."""

    SOURCE = "source"  # it was uploaded; where that cannot be run, as LATENCY
    LATENCY = "latency"  # the shortest execution of one row
    THROUGHPUT = "throughput"  # the most rows a second in the largest batch that was measured
    SIZE = "size"  # the fewest bytes
    FIDELITY = "fidelity"  # the answers closest to the source's


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of a version: a variant, or the record of a rejected one."""

    name: str
    state: FormState
    variant: Variant | None  # None: it was rejected
    result: Result | None  # of the conversion that made it; None: it was uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The form to use, and why it and not another."""

    form: Form
    why: str

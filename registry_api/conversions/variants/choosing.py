# SPDX-License-Identifier: Apache-2.0
"""Which form of a version to use on a device. Pure: forms in, a form and a sentence out.

Rules. A form counts if it is what was uploaded or was accepted, is not revoked, is for that device and of a format that runs
there, and keeps the least fidelity that was asked for. Of those the best by measurement is chosen. Each report measured its
source in turns with the candidate, so times are told relative to the uploaded form, and along a chain of conversions (onnx,
then onnx-int8) the ratios and the cosines are multiplied; the uploaded form has 1. What is equal is decided in favour of the
uploaded form, then by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from operator import attrgetter

from converters.parity.report import Latency, Report
from core.errors import Conflict, ErrorCode
from registry_api.conversions.variants.values import Choice, Form, FormState, Objective


def choose(
    forms: Sequence[Form], *, device: str, objective: Objective, formats: Collection[str], fidelity: float | None
) -> Choice:
    """The form to use.

    Args:
        forms: All of one version.
        device: Such as ``cpu``.
        objective: What matters.
        formats: What runs there.
        fidelity: The least cosine; None: whatever was accepted.

    Raises:
        Conflict: ``STATE_001`` if none can be used, with the reason for each.
    """
    measures = _Measures({form.name: form for form in forms})
    faults = {form.name: _fault(form, measures, device=device, formats=formats, fidelity=fidelity) for form in forms}
    usable = [form for form in forms if faults[form.name] is None]
    if not usable:
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"No form of this version can be used on {device!r}: "
            + "; ".join(f"{name} {fault}" for name, fault in faults.items())
            + ". Convert it: furo convert MODEL@VERSION --to FORMAT-PRECISION.",
            details={"device": device, "objective": objective},
        )
    source = next((form for form in usable if form.state is FormState.SOURCE), None)
    if objective is Objective.SOURCE and source is not None:
        return Choice(form=source, why=f"{source.name} was uploaded and runs on {device}.")
    values = {form.name: measures.of(form, objective) for form in usable}
    best = min(usable, key=lambda form: (values[form.name], form.state is not FormState.SOURCE, form.name))
    return Choice(form=best, why=_why(best, values, faults, objective))


@dataclass(frozen=True, slots=True)
class _Measures:
    """What reports say of forms, relative to the uploaded one."""

    forms: Mapping[str, Form]  # by name

    def of(self, form: Form, objective: Objective) -> float:
        """What the best form has least of."""
        match objective:
            case Objective.SOURCE | Objective.LATENCY:
                return self._time(form, attrgetter("smallest_batch"))
            case Objective.THROUGHPUT:
                return self._time(form, attrgetter("largest_batch"))
            case Objective.SIZE:
                return float("inf") if form.variant is None else float(form.variant.size)
            case Objective.FIDELITY:
                return 1.0 - self.cosine(form)

    def cosine(self, form: Form) -> float:
        """Between its answers and those of the uploaded form."""
        return prod(report.cosine for report in self._reports(form))

    def _time(self, form: Form, measured: Callable[[Report], Latency | None]) -> float:
        """Of one batch of those that were measured."""
        return prod(_ratio(measured(report)) for report in self._reports(form))

    def _reports(self, form: Form) -> Iterator[Report]:
        """The report of a form, of what it was made from, and so on."""
        seen: set[str] = set()
        at: Form | None = form
        while at is not None and at.result is not None and at.name not in seen:
            seen.add(at.name)
            yield at.result.report
            at = self.forms.get(at.result.report.source)


def _ratio(latency: Latency | None) -> float:
    return latency.ms / latency.source_ms if latency is not None and latency.source_ms > 0 else 1.0


def _fault(
    form: Form, measures: _Measures, *, device: str, formats: Collection[str], fidelity: float | None
) -> str | None:
    variant = form.variant
    if form.state is FormState.REJECTED or variant is None:
        return "was rejected"
    if form.state is FormState.REVOKED:
        return "is revoked"
    if variant.format not in formats:
        return f"is of a format that does not run there ({variant.format})"
    if variant.device != device:
        return f"is for {variant.device}"
    if fidelity is not None and measures.cosine(form) < fidelity:
        return f"has a cosine of {measures.cosine(form):.5f}"
    return None


def _why(best: Form, values: Mapping[str, float], faults: Mapping[str, str | None], objective: Objective) -> str:
    told = {Objective.SIZE: "bytes", Objective.FIDELITY: "of cosine lost"}.get(objective, "of the uploaded form's time")
    sought = Objective.LATENCY if objective is Objective.SOURCE else objective
    others = "; ".join(f"{name} {value:.4g}" for name, value in values.items() if name != best.name)
    sentence = f"{best.name} is best for {sought}: {values[best.name]:.4g} {told}"
    sentence += f" (others: {others})." if others else ", the only one."
    out = "; ".join(f"{name} {fault}" for name, fault in faults.items() if fault is not None)
    return f"{sentence} Left out: {out}." if out else sentence

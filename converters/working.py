# SPDX-License-Identifier: Apache-2.0
"""The work of a conversion, inside the sandbox: takes the steps of a route, quantizes, compares with the source.

It is one process, since a converter library takes seconds to import and everything here needs the same ones. Where several
routes lead to a variant and the first refuses the model, the next is tried, and the progress says so. What two variants have
in common is made once.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from converters.calibration import open_calibration
from converters.catalogue import recipe_named
from converters.interface import ConvertOptions, kind_and_reason
from converters.parity.compare import Side, precision_of
from converters.parity.data import vocabulary
from converters.parity.execution import size_of
from converters.parity.gate import data_for, judge
from converters.parity.report import Report
from converters.parity.thresholds import thresholds_for
from converters.quantization.advice import advise, kind_of
from converters.sandbox import Arguments
from converters.sources.opening import open_source
from converters.spec import Failed, SignatureJson
from core.errors import ErrorCode, FuroshikiError, ModelError

Routes = tuple[tuple[str, ...], ...]


class MakeStep(Arguments, frozen=True, kw_only=True):
    """What to make. Paths are absolute."""

    source: str
    source_format: str
    source_variant: str
    signature: SignatureJson | None
    metadata: dict[str, str]
    target: str  # variant
    routes: dict[
        str, Routes
    ]  # by precision, the likeliest first; others than the target's are tried if advice names them
    calibration: str | None
    thresholds: dict[str, float | None] | None
    work: str  # folder; candidates lie below it
    progress: str  # existing file, one JSON line per stage

    def reads(self) -> tuple[str, ...]:
        """The source and the calibration."""
        return (self.source, *([self.calibration] if self.calibration else []))

    def writes(self) -> tuple[str, ...]:
        """The candidates and what is told meanwhile."""
        return (self.work, self.progress)


class MadeVariant(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate."""

    folder: str
    route: tuple[str, ...]
    seconds: float
    peak_bytes: int  # resident, so far, of this process or the largest one it started


class MakeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    made: dict[str, MadeVariant]
    reports: dict[str, Report]
    failed: tuple[Failed, ...]
    advice: str


@dataclass(slots=True)
class Worker:
    """Makes the variants of one order. Used once."""

    order: MakeStep
    _count: int = field(init=False, default=0)
    _taken: dict[tuple[str, ...], tuple[Path, float]] = field(init=False, default_factory=dict)

    def make(self) -> MakeResult:
        """Makes and judges. Blocks.

        Raises:
            ModelError: ``MODEL_003`` if the target cannot be made, or the source not be run.
            FuroshikiError: What is wrong with calibration data or thresholds.
        """
        order, target = self.order, self.order.target
        thresholds_for(precision_of(target), order.thresholds)  # refused before the work, not after it
        made, failed, advice = {target: self._variant(target)}, [], ""
        if len(order.routes) > 1:
            others, advice = self._sensible(made[target])
            for variant in others:
                try:
                    made[variant] = self._variant(variant)
                except FuroshikiError as error:
                    failed.append(Failed(variant=variant, code=str(error.code), message=error.message))
        return MakeResult(made=made, reports=self._judged(made), failed=tuple(failed), advice=advice)

    def _sensible(self, first: MadeVariant) -> tuple[list[str], str]:
        """Further variants worth a try, and why; the kind of model is told from its floating form where there is one."""
        form, _, rest = self.order.target.partition("-")
        precision, _, device = rest.partition("/")
        last = recipe_named(first.route[-1])
        before = (last.kind, last.source) == ("quantize", form)
        folder = self._follow(first.route[:-1], self.order.target)[0] if before else Path(first.folder)
        kind = kind_of(folder, form)
        advice = advise(kind, form, calibrated=self.order.calibration is not None)
        wanted = [each for each in ("fp32", *advice.sensible) if each in self.order.routes and each != precision]
        return [f"{form}-{each}/{device}" for each in dict.fromkeys(wanted)], f"Kind of model: {kind}. {advice.reason}"

    def _variant(self, variant: str) -> MadeVariant:
        refusals: list[str] = []
        for route in self.order.routes[precision_of(variant)]:
            try:
                folder, seconds = self._follow(route, variant)
            except ModelError as error:
                refusals.append(error.message)
                self._tell("refused", error.message)
                continue
            return MadeVariant(folder=str(folder), route=route, seconds=round(seconds, 3), peak_bytes=_peak_bytes())
        raise ModelError(ErrorCode.MODEL_INVALID, " Then: ".join(dict.fromkeys(refusals)))

    def _follow(self, route: tuple[str, ...], variant: str) -> tuple[Path, float]:
        folder, seconds = Path(self.order.source), 0.0
        for number, name in enumerate(route):
            taken = route[: number + 1]
            if taken not in self._taken:
                self._tell("convert", f"{variant}: {name}")
                self._taken[taken] = self._take(name, folder, precision_of(variant))
            folder, took = self._taken[taken]
            seconds += took
        return folder, seconds

    def _take(self, name: str, source: Path, precision: str) -> tuple[Path, float]:
        target, scratch = self._fresh("made"), self._fresh("scratch")
        order, started = self.order, time.monotonic()
        options = ConvertOptions(
            precision=precision,
            signature=None if order.signature is None else order.signature.signature(),
            calibration=None if order.calibration is None else Path(order.calibration),
            scratch=scratch,
        )
        try:
            recipe_named(name).convert(source, target, options)
        except (FuroshikiError, MemoryError, OSError):
            raise
        except Exception as error:
            traceback.print_exc()
            raise ModelError(
                ErrorCode.MODEL_INVALID, f"{name} cannot convert this model: {kind_and_reason(error)}"
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target, time.monotonic() - started

    def _judged(self, made: dict[str, MadeVariant]) -> dict[str, Report]:
        order = self.order
        self._tell("measure", f"comparing {', '.join(made)} with the source")
        signature = None if order.signature is None else order.signature.signature()
        model = open_source(Path(order.source), order.source_format, signature)
        calibration = None if order.calibration is None else open_calibration(Path(order.calibration), model.signature)
        data = data_for(model, calibration, vocabulary(order.metadata))
        side = Side(variant=order.source_variant, model=model, bytes=size_of(Path(order.source)))
        return {
            variant: judge(
                side,
                Path(each.folder),
                variant,
                signature=signature,
                data=data,
                thresholds=thresholds_for(precision_of(variant), order.thresholds),
            )
            for variant, each in made.items()
        }

    def _tell(self, stage: str, message: str) -> None:
        with Path(self.order.progress).open("ab") as file:
            file.write(msgspec.json.encode({"stage": stage, "message": message[:2000]}) + b"\n")
        print(f"{stage}: {message}", file=sys.stderr, flush=True)  # noqa: T201 -- the job's log

    def _fresh(self, what: str) -> Path:
        self._count += 1
        folder = Path(self.order.work) / f"{what}-{self._count}"
        folder.mkdir(mode=0o700)
        return folder


def _peak_bytes() -> int:
    """Of this process or of the largest one that it started."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) * 1024

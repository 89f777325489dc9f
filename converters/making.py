# SPDX-License-Identifier: Apache-2.0
"""From a verified source to its candidates, outside the sandbox: finds the routes, has them taken, lays the results out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from artifacts.formats import format_named
from artifacts.signing.verifier import VerifiedBundle
from converters import reproduce
from converters.catalogue import Route, best_route, recipe_named, routes
from converters.choice.front import pruned
from converters.environments import onnx2tf
from converters.interface import Recipe
from converters.parity.compare import precision_of
from converters.parity.report import Report
from converters.parity.thresholds import DEFAULTS
from converters.sandbox import Arguments, Ended, Limits, run_step
from converters.sources.factory import describe
from converters.spec import Candidate, ConvertAnswer, ConvertSpec, SignatureJson, TensorJson, folder_name
from converters.steps import InspectStep
from converters.working import MadeVariant, MakeResult, MakeStep
from core.clock import Clock
from core.errors import ErrorCode, FuroshikiError, InvalidRequest, JobError

_TARGET: Final = re.compile(r"([a-z0-9_]+)-([a-z0-9]+)/([a-z0-9][a-z0-9._-]{0,31})")
_KEPT: Final = "batching."
_ROUTES: Final = 3  # tried at most
_STAGES: Final = {"convert": 0.2, "refused": 0.3, "measure": 0.7}  # share done when a stage begins

Tell = Callable[[str, float, str], None]


class _Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """What ``python -m runners inspect`` prints."""

    inputs: tuple[TensorJson, ...]
    outputs: tuple[TensorJson, ...]
    metadata: dict[str, str] = {}


class _Progress(msgspec.Struct, frozen=True, kw_only=True):
    stage: str
    message: str


@dataclass(slots=True)
class Maker:
    """Makes the candidates of one spec. Used once."""

    spec: ConvertSpec
    bundle: VerifiedBundle = field(kw_only=True)
    folder: Path = field(kw_only=True)  # the verified source files
    work: Path = field(kw_only=True)  # private folder
    tell: Tell = field(kw_only=True)
    clock: Clock = field(kw_only=True)
    _end: float = field(init=False, default=0.0)

    def make(self) -> ConvertAnswer:
        """Makes, judges and lays out every candidate. Blocks.

        Raises:
            FuroshikiError: The target could not be made; see :mod:`converters.job` for the codes.
        """
        self._end = self.clock.monotonic() + self.spec.budget_s
        order = self._order()
        ended = self._run("make", order, progress=Path(order.progress))
        result = msgspec.json.decode(ended.result, type=MakeResult)
        reports = pruned(result.reports, asked=self.spec.target) if self.spec.auto else result.reports
        done = tuple(self._laid_out(variant, made, reports[variant]) for variant, made in sorted(result.made.items()))
        self.tell("done", 1.0, ", ".join(f"{each.variant} {each.report.verdict}" for each in done))
        environment = reproduce.environment([recipe_named(name) for each in done for name in each.route])
        return ConvertAnswer(
            candidates=done,
            failed=result.failed,
            environment=environment | {"network": ended.network, "files": ended.files, "peak_bytes": ended.peak_bytes},
            advice=result.advice,
        )

    def _order(self) -> MakeStep:
        target, precision = self._target()
        ways = {precision: self._routes(target, precision)}
        if self.spec.auto:
            ways |= {other: found for other in DEFAULTS if other not in ways and (found := self._others(target, other))}
        if any(found[0].own_environment for found in ways.values()):
            self.tell("environment", 0.05, "the environment of onnx2tf")
            onnx2tf.ensure()
        manifest = self.bundle.manifest
        made = self.work / "made"
        made.mkdir(mode=0o700)
        progress = self.work / "progress"
        progress.touch()
        return MakeStep(
            source=str(self.folder),
            source_format=manifest.format,
            source_variant=manifest.variant,
            signature=None if manifest.signature is None else SignatureJson.of(manifest.signature),
            metadata=dict(manifest.metadata),
            target=self.spec.target,
            routes={each: tuple(route.names for route in found) for each, found in ways.items()},
            calibration=self.spec.calibration,
            thresholds=self.spec.thresholds,
            work=str(made),
            progress=str(progress),
        )

    def _target(self) -> tuple[str, str]:
        found = _TARGET.fullmatch(self.spec.target)
        if found is None:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD, f"Target {self.spec.target[:80]!r}; expected '<format>-<precision>/<device>'."
            )
        if not format_named(found[1]).executable:
            raise InvalidRequest(ErrorCode.INVALID_FIELD, f"Nothing is converted to {found[1]!r}: no runner loads it.")
        if found[2] not in DEFAULTS:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD, f"Precision {found[2]!r} is not known; expected one of {', '.join(DEFAULTS)}."
            )
        own = precision_of(self.bundle.manifest.variant)
        if own != "fp32":
            message = f"The source is in {own}; convert the fp32 variant that it was made from."
            raise InvalidRequest(ErrorCode.INVALID_FIELD, message)
        return found[1], found[2]

    def _routes(self, target: str, precision: str) -> list[Route]:
        source = self._source_format()
        if self.spec.route is not None:
            route = Route(steps=tuple(recipe_named(name) for name in self.spec.route))
            check_chain(route.steps, source, target, precision)
            reason = route.available()
            if reason is not None:
                raise InvalidRequest(ErrorCode.INVALID_FIELD, f"The route cannot run here: {reason}.")
            return [route]
        if source == target and precision == "fp32":
            raise InvalidRequest(ErrorCode.INVALID_FIELD, f"The source is {source} already; name another precision.")
        best = best_route(source, target, precision=precision)
        rest = [each for each in routes(source, target, precision=precision) if each.names != best.names]
        return [best, *(each for each in rest if each.available() is None and not each.own_environment)][:_ROUTES]

    def _others(self, target: str, precision: str) -> list[Route]:
        """Routes to a precision that was not asked for; none where there is none."""
        if precision == "fp32" and self._source_format() == target:
            return []
        try:
            return [best_route(self._source_format(), target, precision=precision)]
        except FuroshikiError:
            return []

    def _source_format(self) -> str:
        name = self.bundle.manifest.format
        return f"factory({describe(self.folder).framework})" if name == "factory" else name

    def _laid_out(self, variant: str, made: MadeVariant, report: Report) -> Candidate:
        """Moves a candidate to the output and describes it as the runner that will load it does."""
        form, folder = variant.partition("-")[0], Path(made.folder)
        self.tell("inspect", 0.9, f"reading {variant}")
        ended = self._run("inspect", InspectStep(folder=str(folder), format=form, executable=True))
        found = msgspec.json.decode(ended.result, type=_Inspected)
        place = Path(self.spec.output) / folder_name(variant)
        shutil.copytree(folder, place)
        calibration = reproduce.digest_of(Path(self.spec.calibration)) if self.spec.calibration else None
        steps = [recipe_named(name) for name in made.route]
        reproduce.write(
            place, self.spec, variant=variant, source_digest=self.bundle.digest, calibration=calibration, steps=steps
        )
        signature = SignatureJson(inputs=found.inputs, outputs=found.outputs)
        return Candidate(
            variant=variant,
            format=form,
            precision=report.precision,
            files=tuple(sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())),
            signature=signature,
            metadata=self._metadata(signature) | found.metadata,
            route=made.route,
            accepted=report.accepted,
            reasons=report.reasons,
            report=report,
            seconds=made.seconds,
            peak_bytes=made.peak_bytes,
        )

    def _metadata(self, signature: SignatureJson) -> dict[str, str]:
        """What the source declares about its batches, where it still holds: the same inputs, as free as before."""
        own = self.bundle.manifest.signature
        if own is None or signature.signature().batched != own.batched:
            return {}
        if {spec.name: spec.shape for spec in own.inputs} != {each.name: each.shape for each in signature.inputs}:
            return {}
        return {key: text for key, text in self.bundle.manifest.metadata.items() if key.startswith(_KEPT)}

    def _run(self, work: str, arguments: Arguments, *, progress: Path | None = None) -> Ended:
        left = self._end - self.clock.monotonic()
        if left <= 0:
            raise JobError(ErrorCode.JOB_TIMEOUT, f"The budget of {self.spec.budget_s:.0f} s is used up.")
        folder = self.work / f"step-{work}"
        folder.mkdir(mode=0o700)
        seen = 0

        def look() -> None:
            nonlocal seen
            if progress is not None:
                lines = progress.read_bytes().split(b"\n")[:-1]
                for line in lines[seen:]:
                    told = msgspec.json.decode(line, type=_Progress)
                    self.tell(told.stage, _STAGES.get(told.stage, 0.2), told.message)
                seen = len(lines)

        try:
            limits = Limits(wall_seconds=left, memory_bytes=self.spec.memory_bytes)
            return run_step(work, arguments, folder=folder, limits=limits, look=look)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_chain(steps: Sequence[Recipe], source: str, target: str, precision: str) -> None:
    """Refuses a route that does not lead where it should.

    Raises:
        InvalidRequest: ``VALID_002`` naming the recipe that does not fit.
    """
    at, made = source, "fp32"
    for step in steps:
        if step.source != at:
            raise InvalidRequest(ErrorCode.INVALID_FIELD, f"Recipe {step.name!r} reads {step.source}, not {at}.")
        at, made = step.target, step.precision or made
    if (at, made) != (target, precision):
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD, f"The route ends at {at} in {made}; the target is {target} in {precision}."
        )

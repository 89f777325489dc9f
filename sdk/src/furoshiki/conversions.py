# SPDX-License-Identifier: Apache-2.0
"""Conversions: variants of a version in other formats and precisions, each compared with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from furoshiki.api import get_request, json_request
from furoshiki.jobs import JobError, OnJob, until_made
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionResult:
    """One candidate of a conversion: a variant if it was accepted."""

    variant: str
    digest: str  # of its manifest
    size: int  # bytes
    accepted: bool
    reasons: tuple[str, ...] = ()  # why it was rejected
    route: tuple[str, ...] = ()  # the steps it was made by
    cosine: float  # with the source's answers
    max_abs: float  # largest difference of one value
    top1_agreement: float | None = None  # None: no output has classes
    ratio: float  # how many times smaller than its source it is
    p50_ms: float | None = None  # of one execution
    source_p50_ms: float | None = None  # of its source, measured in turns with it
    key_id: str  # of the key that signed the report

    @property
    def verdict(self) -> str:
        """One line."""
        if self.accepted:
            return "accepted"
        return f"rejected: {'; '.join(reason.rstrip('.') for reason in self.reasons)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One conversion, made or in the making."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str  # the source
    digest: str  # of the source's manifest
    to: str
    auto: bool = False
    route: tuple[str, ...] | None = None  # as asked for; None: the cheapest
    calibration: str | None = None
    thresholds: Mapping[str, float | None] | None = None
    state: str  # of its job
    results: tuple[ConversionResult, ...] = ()
    environment: Mapping[str, Any] | None = None  # of the process that converted
    job_id: str
    error: JobError | None = None
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One step that a conversion may take."""

    name: str
    kind: str  # "convert" or "quantize"
    source: str  # format
    target: str  # format
    precision: str | None = None  # what a quantizing step makes
    dynamic_batch: bool
    cost_s: float
    needs: tuple[str, ...] = ()
    unavailable: str | None = None  # why it cannot run; None: it can


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRoute:
    """The way from one format to another."""

    source: str
    target: str
    steps: tuple[str, ...]  # recipes
    dynamic_batch: bool
    cost_s: float
    unavailable: str | None = None  # why it cannot be taken; None: it can


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRoutes:
    """Every recipe, and the best route between each two formats."""

    recipes: tuple[Recipe, ...]
    routes: tuple[ConversionRoute, ...]


class Conversions(Resource[D]):
    """``client.conversions``."""

    @operation
    def create(
        self,
        model: str,
        version: int,
        *,
        to: str,
        variant: str | None = None,
        auto: bool = False,
        route: Sequence[str] | None = None,
        calibration: str | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> Steps[Conversion]:
        """Starts to convert a version.

        Args:
            model: The model.
            version: Its version.
            to: Such as ``tflite-int8``.
            variant: The source, such as ``onnx-fp32/cpu``; None: what was uploaded.
            auto: Try every sensible precision of that format and keep the best.
            route: Recipes in their order; None: the cheapest route.
            calibration: Name of the model's calibration data; see :class:`furoshiki.calibrations.Calibrations`.
            thresholds: Bounds of the comparison by name; None: those of the precision.

        Raises:
            Conflict: ``STATE_002`` if the version has such a variant already.
        """
        fields = {
            "to": to,
            "variant": variant,
            "auto": auto or None,
            "route": None if route is None else [*route],
            "calibration": calibration,
            "thresholds": None if thresholds is None else dict(thresholds),
        }
        request = json_request("POST", path("models", model, "versions", version, "conversions"), fields)
        return (yield from self._api.fetch(request, Conversion))

    @operation
    def get(self, conversion_id: str) -> Steps[Conversion]:
        """One conversion."""
        return (yield from self._api.fetch(get_request(path("conversions", conversion_id)), Conversion))

    @listing
    def list(self, *, model: str | None = None, version: int | None = None) -> Items[Conversion]:
        """The tenant's conversions, newest first; None: of whatever model and version."""
        wanted = {"model": model, "version": None if version is None else str(version)}
        query = {name: value for name, value in wanted.items() if value is not None}
        yield from self._api.pages("/conversions", Conversion, query)

    @operation
    def wait(
        self, conversion_id: str, *, timeout: float | None = None, progress: OnJob | None = None
    ) -> Steps[Conversion]:
        """Waits until a conversion has ended; a rejected result is a result.

        Args:
            conversion_id: The conversion.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the conversion's job after every look at it.

        Raises:
            JobFailed: If it failed.
            DeadlineExceeded: ``TIMEOUT_001``; the conversion goes on.
        """
        get = partial(Conversions.get.steps, self, conversion_id)
        return (yield from until_made(self, get, timeout=timeout, progress=progress))

    @operation
    def report(self, conversion_id: str, *, variant: str | None = None) -> Steps[bytes]:
        """The report of a result as canonical JSON; ``variant`` None: of the only one.

        Raises:
            NotFound: ``CONVERT_001`` if there is none.
        """
        return (yield from self._api.send(_report(conversion_id, "", variant))).body

    @operation
    def report_signature(self, conversion_id: str, *, variant: str | None = None) -> Steps[bytes]:
        """The signature of a report; a Sigstore bundle."""
        return (yield from self._api.send(_report(conversion_id, "signature", variant))).body

    @operation
    def picture(self, conversion_id: str, *, variant: str | None = None) -> Steps[bytes]:
        """The picture of a report; SVG."""
        return (yield from self._api.send(_report(conversion_id, "picture", variant))).body

    @operation
    def routes(self) -> Steps[ConversionRoutes]:
        """What can be converted into what."""
        return (yield from self._api.fetch(get_request("/conversions/routes"), ConversionRoutes))


def _report(conversion_id: str, part: str, variant: str | None) -> Request:
    where = path("conversions", conversion_id, "report", *([part] if part else []))
    return get_request(where, {} if variant is None else {"variant": variant})

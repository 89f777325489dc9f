# SPDX-License-Identifier: Apache-2.0
"""Conversions as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from artifacts.digest import Digest
from artifacts.formats import FORMATS
from artifacts.manifest import FileEntry
from converters.parity.report import Report
from core.errors import ErrorCode, InvalidRequest
from registry_api.jobs.interface import JobKind
from registry_api.products.kind import ProductKind
from registry_api.products.values import Product

CONVERSION: Final = ProductKind(name="conversion", job=JobKind.CONVERT, unknown=ErrorCode.CONVERSION_NOT_FOUND)
PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8", "int8dyn", "int8w16a")
DEVICE: Final = "cpu"  # of a target that names none


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a conversion is to make."""

    format: str
    precision: str
    device: str

    @property
    def variant(self) -> str:
        """The name of such a variant."""
        return f"{self.format}-{self.precision}/{self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to make it."""

    target: Target
    auto: bool = False  # try the sensible precisions of that format and keep the best
    route: tuple[str, ...] | None = None  # recipes in their order; None: the cheapest
    thresholds: Mapping[str, float | None] | None = None  # bounds instead of those of the precision
    calibration: str | None = None  # name of the model's calibration data


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One candidate: a variant if it was accepted, the record of an attempt if not."""

    conversion: str  # id
    variant: str  # name
    digest: Digest  # of its manifest; that of a rejected one was neither signed nor stored
    size: int  # bytes of its files
    accepted: bool
    reasons: tuple[str, ...]  # why it was rejected; empty: accepted
    route: tuple[str, ...]  # the recipes it was made by
    report: Report
    report_digest: Digest  # of the signed document that holds the report
    report_signature_digest: Digest
    picture_digest: Digest  # of an SVG
    key_id: str  # of the key that signed the report, and the manifest of an accepted one


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A result with what else is written of an accepted one."""

    result: Result
    format: str
    precision: str
    device: str
    signature_digest: Digest | None  # of its manifest's signature; None: it was rejected
    files: tuple[FileEntry, ...]  # stored; empty: it was rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Product):
    """A conversion as stored."""

    plan: Plan
    results: tuple[Result, ...]  # empty: not finished, or failed
    environment: Mapping[str, Any] | None  # of the process that converted; None: not finished, or failed


def parse_target(text: str) -> Target:
    """Reads ``tflite-int8``, ``tflite-int8/cpu``, or ``tflite`` for fp32.

    Raises:
        InvalidRequest: ``VALID_002``, naming the formats and precisions there are.
    """
    form, _, device = text.partition("/")
    model_format, _, precision = form.partition("-")
    known = FORMATS.get(model_format)
    target = Target(format=model_format, precision=precision or "fp32", device=device or DEVICE)
    if known is None or not known.executable or target.precision not in PRECISIONS:
        formats = ", ".join(name for name, each in FORMATS.items() if each.executable)
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Target {text[:100]!r} is none; expected '<format>-<precision>/<device>' with a format of {formats} "
            f"and a precision of {', '.join(PRECISIONS)}.",
            details={"field": "to"},
        )
    return target

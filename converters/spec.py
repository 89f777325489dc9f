# SPDX-License-Identifier: Apache-2.0
"""What a conversion is told and what it answers, as JSON: the contract between the registry and its child process."""

from __future__ import annotations

from typing import Any

import msgspec

from converters.parity.report import Report
from core.tensors import Signature, TensorSpec, dtype_from_oip


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are an error, not an extension point."""


class ConvertSpec(_Strict, frozen=True, kw_only=True):
    """What to convert. Paths are absolute."""

    bundle: str  # folder of the source bundle
    tenant: str
    model: str
    version: int
    variant: str  # of the source
    trust: str  # folder of the tenants' trust policies
    target: str  # "<format>-<precision>/<device>"
    route: tuple[str, ...] | None = None  # names of recipes; None: the best
    calibration: str | None = None  # folder of calibration data
    thresholds: dict[str, float | None] | None = None  # instead of the defaults of the precision
    auto: bool = False  # besides the target try every sensible precision of its format
    output: str  # folder, empty: one folder per candidate is made in it
    answer: str  # file the answer is written to
    budget_s: float  # of everything together, wall time
    memory_bytes: int  # address space of each step


class TensorJson(_Strict, frozen=True, kw_only=True):
    """One tensor as the Open Inference Protocol writes it."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, spec: TensorSpec) -> TensorJson:
        """The JSON form."""
        return cls(name=spec.name, datatype=spec.dtype.oip, shape=spec.shape)

    def spec(self) -> TensorSpec:
        """The value.

        Raises:
            TensorError: ``TENSOR_002`` if the protocol has no such datatype.
        """
        return TensorSpec(name=self.name, dtype=dtype_from_oip(self.datatype), shape=self.shape)


class SignatureJson(_Strict, frozen=True, kw_only=True):
    """Inputs and outputs."""

    inputs: tuple[TensorJson, ...]
    outputs: tuple[TensorJson, ...]

    @classmethod
    def of(cls, signature: Signature) -> SignatureJson:
        """The JSON form."""
        return cls(
            inputs=tuple(map(TensorJson.of, signature.inputs)), outputs=tuple(map(TensorJson.of, signature.outputs))
        )

    def signature(self) -> Signature:
        """The value.

        Raises:
            TensorError: ``TENSOR_002`` if the protocol has no such datatype.
        """
        return Signature(
            inputs=tuple(tensor.spec() for tensor in self.inputs),
            outputs=tuple(tensor.spec() for tensor in self.outputs),
        )


class Candidate(_Strict, frozen=True, kw_only=True):
    """One result. ``accepted`` is the report's verdict."""

    variant: str
    format: str
    precision: str
    files: tuple[str, ...]  # relative to the candidate's folder: output / variant with "/" as "_"
    signature: SignatureJson
    metadata: dict[str, str]
    route: tuple[str, ...]
    accepted: bool
    reasons: tuple[str, ...]
    report: Report
    seconds: float  # of its steps
    peak_bytes: int  # resident, of the largest step


class Failed(_Strict, frozen=True, kw_only=True):
    """A variant that was tried beside the target and could not be made."""

    variant: str
    code: str
    message: str


class ConvertAnswer(_Strict, frozen=True, kw_only=True):
    """What came of it."""

    candidates: tuple[Candidate, ...]
    failed: tuple[Failed, ...] = ()
    environment: dict[str, Any]
    advice: str = ""  # why these precisions were tried; empty: nothing was asked for but the target


def folder_name(variant: str) -> str:
    """The folder of a variant within the output."""
    return variant.replace("/", "_")

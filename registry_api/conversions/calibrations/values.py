# SPDX-License-Identifier: Apache-2.0
"""Calibration data as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from artifacts.digest import Digest
from artifacts.signing.documents import Claim, DocumentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration data of a model. Its bytes never change."""

    tenant: str
    model: str
    name: str  # a file name, ``*.npz`` or ``*.safetensors``
    size: int  # bytes
    digest: Digest
    signature_digest: Digest  # of the blob that holds its signature
    key_id: str  # of the key that signed it
    created_at: datetime
    created_by: str  # name of the API key

    @property
    def claim(self) -> Claim:
        """What its signature says."""
        return calibration_claim(self.tenant, self.model, self.name, self.digest)


def calibration_claim(tenant: str, model: str, name: str, digest: Digest) -> Claim:
    """What the signature of calibration data says."""
    return Claim(
        kind=DocumentKind.CALIBRATION,
        name=f"calibration {name} of {tenant}/{model}",
        digest=digest,
        about={},
        facts={"tenant": tenant, "model": model, "name": name},
    )

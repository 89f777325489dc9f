# SPDX-License-Identifier: Apache-2.0
"""Which stored variant something is made from."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.digest import Digest
from core.errors import ErrorCode, ModelError
from core.refs import ModelRef
from registry_api.models.values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The variant that is built or tuned."""

    tenant: str
    model: str
    version: int
    variant: str  # "<format>-<precision>/<device>"
    format: str
    digest: Digest  # of its manifest
    signature_digest: Digest  # of the blob that holds its signature

    @property
    def ref(self) -> ModelRef:
        """The version it is a form of."""
        return ModelRef(tenant=self.tenant, model=self.model, version=self.version)


def source_of(version: Version, name: str | None) -> Source:
    """One variant of a version.

    Args:
        version: The version.
        name: The variant's name; None: the one that was uploaded.

    Raises:
        ModelError: ``MODEL_001``, naming the variants there are.
    """
    variant = version.variant(name)
    if variant is None:
        known = ", ".join(repr(each.name) for each in version.variants)
        raise ModelError(
            ErrorCode.MODEL_NOT_FOUND,
            f"Version '{version.tenant}/{version.model}@{version.version}' has no variant {(name or '')[:100]!r}; "
            f"it has {known}.",
        )
    return Source(
        tenant=version.tenant,
        model=version.model,
        version=version.version,
        variant=variant.name,
        format=variant.format,
        digest=variant.digest,
        signature_digest=variant.signature_digest,
    )

# SPDX-License-Identifier: Apache-2.0
"""Which form of a version this service serves: what was uploaded, or a variant that the registry chooses by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import furoshiki
from core.errors import ErrorCode, Unavailable
from core.telemetry.logs import get_logger
from furoshiki import errors as sdk

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Which form of a version this service serves."""

    device: str = "cpu"
    objective: str = "source"  # what was uploaded where that runs here, else the fastest
    formats: frozenset[str] = frozenset({"onnx"})  # that run here

    def takes(self, version: furoshiki.Version) -> bool:
        """Whether what was uploaded is wanted and runs here, so that nobody need be asked."""
        return self.objective == "source" and version.format in self.formats


AS_UPLOADED: Final = Preference()
"""On the CPU, what was uploaded."""


async def chosen(
    client: furoshiki.AsyncClient, version: furoshiki.Version, prefers: Preference
) -> furoshiki.Variant | None:
    """The variant that the registry chooses; None: what was uploaded.

    Raises:
        Unavailable: ``DEVICE_001`` if no form of the version runs here, with the registry's reasons.
    """
    try:
        choice = await client.variants.choose(
            version.model,
            version.version,
            device=prefers.device,
            objective=prefers.objective,
            formats=prefers.formats,
        )
    except sdk.Conflict as error:
        raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, error.message) from None
    log.debug("variant_chosen", model=version.ref, variant=choice.variant.name, why=choice.why)
    return None if choice.variant.source else choice.variant

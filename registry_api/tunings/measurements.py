# SPDX-License-Identifier: Apache-2.0
"""What tunings say about the speed of a version, for the gates of stages."""

from __future__ import annotations

from collections.abc import Mapping

from artifacts.tuning import read_tuning
from registry_api.db.session import Session
from registry_api.models.values import Version
from registry_api.tunings.repository import TuningRepository


class TuningMeasurements:
    """Reads the newest tuning of a version's source variant, on whatever device it was made."""

    async def measured(self, session: Session, version: Version) -> Mapping[str, float]:
        """``p50_ms`` of one execution and ``rows_per_s``, with what the tuning chose; empty if there is none."""
        variant = version.variant()
        document = None
        if variant is not None:
            document = await TuningRepository(session, version.tenant).newest(variant.digest)
        if variant is None or document is None:
            return {}
        tuning = read_tuning(document, digest=variant.digest)
        chosen = tuning.chosen
        best = max(
            (
                point
                for point in tuning.measurements
                if (point.instances, point.threads) == (chosen.instances, chosen.threads)
                and chosen.max_rows in (None, point.rows)
            ),
            key=lambda point: point.rows_per_s,
        )
        return {"p50_ms": best.p50_ms, "rows_per_s": best.rows_per_s}

# SPDX-License-Identifier: Apache-2.0
"""What a tenant may use, as the registry tells it, in this service's own words."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

import furoshiki
from services.edge.auth.tenants import TenantRecord
from services.edge.context import TenantLimits
from services.edge.features import effective


def record_of(identity: furoshiki.Identity) -> TenantRecord:
    """The record of the tenant that an identity belongs to."""
    limits = identity.limits
    return TenantRecord(
        limits=_limits(**asdict(limits)),
        features=effective(identity.features),
    )


@lru_cache(maxsize=1024)
def _limits(**limits: Any) -> TenantLimits:
    """Equal limits are one object, so that the gate sees by identity that nothing has changed."""
    return TenantLimits(**limits)

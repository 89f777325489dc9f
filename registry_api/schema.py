# SPDX-License-Identifier: Apache-2.0
"""Every table of the registry. Importing this fills the metadata that migrations are compared with."""

from __future__ import annotations

from typing import Final

from registry_api.audit import tables as audit
from registry_api.builds import tables as builds
from registry_api.conversions import tables as conversions
from registry_api.db.engine import Base
from registry_api.deployments import tables as deployments
from registry_api.http.idempotency import tables as idempotency
from registry_api.images import tables as images
from registry_api.jobs import tables as jobs
from registry_api.models import tables as models
from registry_api.models.cards import tables as cards
from registry_api.models.search import tables as search
from registry_api.models.uploads import tables as uploads
from registry_api.promotion import tables as promotion
from registry_api.tenancy import tables as tenancy
from registry_api.tunings import tables as tunings
from registry_api.usage import tables as usage
from registry_api.webhooks import tables as webhooks

TABLES: Final = (
    audit,
    jobs,
    tenancy,
    models,
    search,
    cards,
    uploads,
    idempotency,
    promotion,
    tunings,
    conversions,
    builds,
    images,
    deployments,
    webhooks,
    usage,
)
METADATA: Final = Base.metadata

# SPDX-License-Identifier: Apache-2.0
"""Every table of the registry. Importing this fills the metadata that migrations are compared with."""

from __future__ import annotations

from typing import Final

from registry_api.builds import tables as builds
from registry_api.db.engine import Base
from registry_api.deployments import tables as deployments
from registry_api.jobs import tables as jobs
from registry_api.models import tables as models
from registry_api.models.uploads import tables as uploads
from registry_api.promotion import tables as promotion
from registry_api.tenancy import tables as tenancy
from registry_api.tunings import tables as tunings

TABLES: Final = (jobs, tenancy, models, uploads, promotion, tunings, builds, deployments)
METADATA: Final = Base.metadata

# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0007_pre_governance
"""

from __future__ import annotations

revision = "0007_pre_governance"
down_revision = "0006_pre_roles"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

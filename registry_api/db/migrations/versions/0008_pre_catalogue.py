# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0008_pre_catalogue
"""

from __future__ import annotations

revision = "0008_pre_catalogue"
down_revision = "0007_pre_governance"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

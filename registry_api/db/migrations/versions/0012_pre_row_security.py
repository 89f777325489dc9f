# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0012_pre_row_security
"""

from __future__ import annotations

revision = "0012_pre_row_security"
down_revision = "0011_pre_storage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

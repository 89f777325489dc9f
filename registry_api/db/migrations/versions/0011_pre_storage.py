# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0011_pre_storage
"""

from __future__ import annotations

revision = "0011_pre_storage"
down_revision = "0010_pre_request_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

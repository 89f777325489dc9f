# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0010_pre_request_log
"""

from __future__ import annotations

revision = "0010_pre_request_log"
down_revision = "0009_pre_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

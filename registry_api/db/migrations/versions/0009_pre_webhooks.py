# SPDX-License-Identifier: Apache-2.0
""".

Revision ID: 0009_pre_webhooks
"""

from __future__ import annotations

revision = "0009_pre_webhooks"
down_revision = "0008_pre_catalogue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass

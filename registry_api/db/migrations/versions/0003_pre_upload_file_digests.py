# SPDX-License-Identifier: Apache-2.0
"""An index to find the uploads that declare a blob, and one to find the uploads that were given up.

Revision ID: 0003_pre_upload_file_digests
"""

from __future__ import annotations

from alembic import op

revision = "0003_pre_upload_file_digests"
down_revision = "0002_pre_jobs_builds_deployments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_upload_files_tenant_digest", "upload_files", ["tenant", "digest"])
    op.create_index("ix_uploads_state_expires_at", "uploads", ["state", "expires_at"])

# SPDX-License-Identifier: Apache-2.0
"""Tables of the history. Entries and checkpoints are only ever added: triggers of the database refuse everything else."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.engine import Base


class AuditEntryRow(Base):
    """One entry. ``document`` is the entry; the columns before it are copies to search by, compared when it is verified."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "tenant", "resource", "action", "seq"),)

    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(24))  # RFC 3339 as in the document, so that every byte of it can be compared
    action: Mapped[str] = mapped_column(String(64))
    resource: Mapped[str] = mapped_column(String(200))
    hash: Mapped[str] = mapped_column(String(71))
    document: Mapped[bytes]  # the exact bytes that the hash covers


class AuditHeadRow(Base):
    """The end of a tenant's chain. Whoever appends locks this row, so entries follow each other."""

    __tablename__ = "audit_heads"

    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(71))
    at: Mapped[datetime]  # of the last entry
    signed_seq: Mapped[int] = mapped_column(BigInteger)  # up to where a checkpoint vouches; 0: nowhere


class AuditCheckpointRow(Base):
    """A signature over the end of a chain as it was."""

    __tablename__ = "audit_checkpoints"

    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    document: Mapped[bytes]  # a Sigstore bundle; see registry_api.audit.checkpoints

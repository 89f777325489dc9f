# SPDX-License-Identifier: Apache-2.0
"""Model cards and the lineage graph as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is said of a model, or of one version of it."""

    tenant: str
    model: str
    version: int | None = None  # None: it is the model's, and so that of each version without its own
    revision: int = 0  # grows with each change; 0: nothing was ever said
    fields: Mapping[str, Any] = field(default_factory=dict)  # those the API documents; None or empty: not filled in
    body: str = ""  # Markdown
    updated_at: datetime | None = None
    updated_by: str | None = None
    etag: str | None = field(default=None, compare=False)  # to change it only if nobody else did meanwhile

    @property
    def filled(self) -> dict[str, Any]:
        """The fields that are filled in."""
        return {name: value for name, value in self.fields.items() if value not in (None, "", [], {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """One thing in a lineage graph."""

    id: str
    kind: str  # "version", "variant", "tuning", "bento", "deployment", "unknown"; more may come
    name: str
    digest: str | None = None  # of its signed manifest; None: it has none, or not yet
    state: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEdge:
    """What was made of what."""

    source: str  # id of the node that was there first
    target: str  # id of the node that was made of it
    relation: str  # "derived", "measured", "packed", "deployed"; more may come


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a version comes from and what became of it."""

    root: str  # id of the version's node
    nodes: tuple[LineageNode, ...] = ()
    edges: tuple[LineageEdge, ...] = ()
    truncated: bool = False  # whether there is more than is shown

    def node(self, node_id: str) -> LineageNode:
        """The node of that id.

        Raises:
            KeyError: If there is none.
        """
        found = next((node for node in self.nodes if node.id == node_id), None)
        if found is None:
            raise KeyError(node_id)
        return found

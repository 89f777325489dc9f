# SPDX-License-Identifier: Apache-2.0
"""The lineage graph as the API speaks of it."""

from __future__ import annotations

from pydantic import Field

from registry_api.http.fields import Outgoing, Timestamp
from registry_api.lineage.values import Edge, Lineage, Node, NodeKind, Relation


class NodeOut(Outgoing):
    """One thing."""

    id: str = Field(examples=["version:digits@3"])
    kind: NodeKind = Field(description="More kinds may come.")
    name: str
    digest: str | None = Field(description="Of its signed manifest; null: it has none, or not yet.")
    state: str | None = Field(description="Stage of a version, state of a build, image, tuning or deployment.")
    created_at: Timestamp | None

    @classmethod
    def of(cls, node: Node) -> NodeOut:
        """Shows a node."""
        return cls(
            id=node.id,
            kind=node.kind,
            name=node.name,
            digest=node.digest,
            state=node.state,
            created_at=node.created_at,
        )


class EdgeOut(Outgoing):
    """What was made of what."""

    source: str = Field(description="Id of the node that was there first.")
    target: str = Field(description="Id of the node that was made of it.")
    relation: Relation

    @classmethod
    def of(cls, edge: Edge) -> EdgeOut:
        """Shows an edge."""
        return cls(source=edge.source, target=edge.target, relation=edge.relation)


class LineageOut(Outgoing):
    """Where a version comes from and what became of it."""

    root: str = Field(description="Id of the version's node.")
    nodes: list[NodeOut]
    edges: list[EdgeOut]
    truncated: bool = Field(description="Whether there is more than is shown.")

    @classmethod
    def of(cls, lineage: Lineage) -> LineageOut:
        """Shows a graph."""
        return cls(
            root=lineage.root,
            nodes=[NodeOut.of(node) for node in lineage.nodes],
            edges=[EdgeOut.of(edge) for edge in lineage.edges],
            truncated=lineage.truncated,
        )

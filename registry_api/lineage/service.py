# SPDX-License-Identifier: Apache-2.0
"""Draws the lineage graph of a version: back along the parents that signed manifests name, and on to what was made of it.

Bounded: at most ``MAX_BACK`` steps back, ``MAX_FORMS`` forms of a version and ``MAX_MADE`` things of each kind; ``truncated``
says that there is more. Only what the tenant holds is looked at: a parent's digest that it does not hold is shown as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from artifacts.digest import Digest
from artifacts.manifest import MAX_MANIFEST_BYTES, Manifest
from artifacts.stores.interface import BlobStore
from registry_api.db.session import Database
from registry_api.lineage.repository import LineageRepository, Made
from registry_api.lineage.values import Edge, Lineage, Node, NodeKind, Relation
from registry_api.models.repository import VersionRepository
from registry_api.models.service import raise_no_model
from registry_api.models.values import Version

MAX_BACK: Final = 8
MAX_FORMS: Final = 32
MAX_MADE: Final = 100


class LineageService:
    """The graphs of the caller's tenant."""

    def __init__(self, db: Database, store: BlobStore) -> None:
        self._db = db
        self._store = store

    async def of(self, tenant: str, model: str, version: int) -> Lineage:
        """The graph around one version.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Unavailable: ``STORE_001`` if its manifests cannot be read.
        """
        found = await self._version(tenant, model, version)
        if found is None:
            raise_no_model(tenant, f"{model}@{version}")
        graph = _Graph()
        root = graph.add(_version_node(found))
        await self._forms(graph, found)
        await self._back(graph, found)
        await self._made(graph, tenant)
        return Lineage(
            root=root, nodes=tuple(graph.nodes.values()), edges=tuple(graph.edges), truncated=graph.truncated
        )

    async def _version(self, tenant: str, model: str, version: int) -> Version | None:
        async with self._db.read(tenant) as session:
            return await VersionRepository(session, tenant).get(model, version)

    async def _forms(self, graph: _Graph, version: Version) -> None:
        """The other forms of the version, each from its parent."""
        others = [variant for variant in version.variants if not variant.source]
        graph.truncated |= len(others) > MAX_FORMS
        for variant in others[:MAX_FORMS]:
            name = f"{version.model}@{version.version}/{variant.name}"
            graph.add(Node(id=f"variant:{name}", kind=NodeKind.VARIANT, name=name, digest=variant.digest))
        for variant in others[:MAX_FORMS]:
            parent = await self._parent(version.tenant, variant.digest)
            if parent is not None:
                graph.join(graph.holder(parent), graph.forms[variant.digest], Relation.DERIVED)

    async def _back(self, graph: _Graph, version: Version) -> None:
        """What the version was made from, and that from what."""
        for step in range(MAX_BACK + 1):
            parent = await self._parent(version.tenant, version.digest)
            if parent is None:
                return
            if step == MAX_BACK:
                graph.truncated = True
                return
            below = graph.forms[version.digest]
            before = await self._holding(version.tenant, parent)
            if before is None or before.digest in graph.forms:
                graph.join(graph.holder(parent), below, Relation.DERIVED)
                return
            graph.join(graph.add(_version_node(before), own=False), below, Relation.DERIVED)
            version = before

    async def _holding(self, tenant: str, digest: Digest) -> Version | None:
        async with self._db.read(tenant) as session:
            named = await LineageRepository(session, tenant, limit=1).version_of(digest)
        return None if named is None else await self._version(tenant, *named)

    async def _parent(self, tenant: str, digest: Digest) -> Digest | None:
        return Manifest.from_bytes(await self._store.read(tenant, digest, limit=MAX_MANIFEST_BYTES)).parent

    async def _made(self, graph: _Graph, tenant: str) -> None:
        async with self._db.read(tenant) as session:
            things = LineageRepository(session, tenant, limit=MAX_MADE + 1)
            tunings = graph.newest(await things.tunings(graph.own))
            builds = graph.newest(await things.builds(graph.own))
            images = graph.newest(await things.images([build.name for build in builds]))
            deployments = graph.newest(await things.deployments([build.name for build in builds]))
        for tuning in tunings:
            graph.join(graph.forms[tuning.of], graph.add(_made_node(NodeKind.TUNING, tuning)), Relation.MEASURED)
        for build in builds:
            graph.join(graph.forms[build.of], graph.add(_made_node(NodeKind.BENTO, build)), Relation.PACKED)
        for image in images:
            target = graph.add(_made_node(NodeKind.IMAGE, image))
            graph.join(f"{NodeKind.BENTO}:{image.of}", target, Relation.PACKED)
        for deployment in deployments:
            target = graph.add(_made_node(NodeKind.DEPLOYMENT, deployment))
            graph.join(f"{NodeKind.BENTO}:{deployment.of}", target, Relation.DEPLOYED)


@dataclass(slots=True)
class _Graph:
    """A graph while it is drawn."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    forms: dict[Digest, str] = field(default_factory=dict)  # node of each manifest
    own: list[Digest] = field(default_factory=list)  # manifests of the version that was asked for
    truncated: bool = False

    def add(self, node: Node, *, own: bool = True) -> str:
        """Adds a node; its id."""
        self.nodes[node.id] = node
        if node.digest is not None and node.kind in (NodeKind.VERSION, NodeKind.VARIANT, NodeKind.UNKNOWN):
            self.forms.setdefault(node.digest, node.id)
            if own and node.kind is not NodeKind.UNKNOWN:
                self.own.append(node.digest)
        return node.id

    def holder(self, digest: Digest) -> str:
        """The node of a manifest, made if the graph has none."""
        known = self.forms.get(digest)
        return known or self.add(Node(id=f"unknown:{digest}", kind=NodeKind.UNKNOWN, name=digest, digest=digest))

    def join(self, source: str, target: str, relation: Relation) -> None:
        """Adds an edge."""
        self.edges.append(Edge(source=source, target=target, relation=relation))

    def newest(self, things: list[Made]) -> list[Made]:
        """What is shown of a list that may be one longer than allowed."""
        self.truncated |= len(things) > MAX_MADE
        return things[:MAX_MADE]


def _version_node(version: Version) -> Node:
    name = f"{version.model}@{version.version}"
    return Node(
        id=f"{NodeKind.VERSION}:{name}",
        kind=NodeKind.VERSION,
        name=name,
        digest=version.digest,
        state=version.stage,
        created_at=version.created_at,
    )


def _made_node(kind: NodeKind, made: Made) -> Node:
    return Node(
        id=f"{kind}:{made.name}", kind=kind, name=made.name, digest=made.digest, state=made.state, created_at=made.at
    )

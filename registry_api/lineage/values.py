# SPDX-License-Identifier: Apache-2.0
"""The lineage graph as values.

An edge goes from what was there first to what was made of it. Kinds are open: who reads a graph passes over those it does
not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from artifacts.digest import Digest


class NodeKind(StrEnum):
    """What a node is; the comment on each line is what its digest is of."""

    VERSION = "version"  # the uploaded form: its manifest
    VARIANT = "variant"  # another form of a version: its manifest
    TUNING = "tuning"  # none
    BENTO = "bento"  # a build: the Bento's manifest, once it is built
    IMAGE = "image"  # the image's manifest, once it is made
    DEPLOYMENT = "deployment"  # the Bento's manifest
    UNKNOWN = "unknown"  # a manifest that the registry does not hold


class Relation(StrEnum):
    """What an edge says of its target; the comment on each line is the sentence."""

    DERIVED = "derived"  # was made from the source: converted, quantized, trained on
    MEASURED = "measured"  # is a measurement of the source
    PACKED = "packed"  # has the source inside
    DEPLOYED = "deployed"  # runs the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing."""

    id: str  # "<kind>:<name>", unique in the graph
    kind: NodeKind
    name: str  # "digits@3", "digits@3/onnx-int8/cpu", the id of a build or image, the name of a deployment
    digest: Digest | None = None  # None: it has none, or not yet
    state: str | None = None  # stage of a version, state of what is worked on; None: it has none
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """``target`` was made of ``source``; both are ids of nodes."""

    source: str
    target: str
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What is known of one version."""

    root: str  # id of its node
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    truncated: bool  # whether there is more than was looked at

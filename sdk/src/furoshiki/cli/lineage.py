# SPDX-License-Identifier: Apache-2.0
"""``furo lineage``: where a version comes from and what became of it, as a tree."""

from __future__ import annotations

import click
from rich.text import Text
from rich.tree import Tree

from furoshiki.cards import Lineage, LineageNode
from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import print_json, show_tree

_DIGEST_CHARS = 19  # "sha256:" and twelve digits


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@with_app
def lineage(app: App, *, ref: Ref) -> None:
    """Show where a version comes from and what became of it. `furo lineage digits@3`."""
    number = ref.version or app.client.versions.resolve(ref.model).version
    graph = app.client.versions.lineage(ref.model, number)
    if app.output == "json":
        print_json(graph)
        return
    for origin in _origins(graph):
        show_tree(_tree(graph, origin))
    if graph.truncated:
        app.say("There is more than is shown.")


def _origins(graph: Lineage) -> list[LineageNode]:
    made = {edge.target for edge in graph.edges}
    return [node for node in graph.nodes if node.id not in made]


def _tree(graph: Lineage, origin: LineageNode) -> Tree:
    tree = Tree(_label(graph, origin))
    open_branches, seen = [(tree, origin.id)], {origin.id}
    while open_branches:
        branch, source = open_branches.pop()
        for edge in graph.edges:
            if edge.source == source and edge.target not in seen:
                seen.add(edge.target)
                open_branches.append((branch.add(_label(graph, graph.node(edge.target), edge.relation)), edge.target))
    return tree


def _label(graph: Lineage, node: LineageNode, relation: str | None = None) -> Text:
    label = Text(f"{relation}: " if relation else "", style="dim")
    label.append(f"{node.kind} ", style="default")
    label.append(node.name, style="bold" if node.id == graph.root else "default")
    for fact in (node.state, None if node.digest is None else node.digest[:_DIGEST_CHARS]):
        if fact is not None and fact not in node.name:
            label.append(f"  {fact}", style="dim")
    return label

# SPDX-License-Identifier: Apache-2.0
"""Results on stdout: a table for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from furoshiki.cli.app import App

Columns: TypeAlias = Mapping[str, str]  # heading by attribute; a dot leads into it

_PIPE_WIDTH: Final = 10_000  # columns where nobody sees a screen: nothing is cut


def show_list(app: App, values: Iterable[Any], columns: Columns) -> None:
    """Prints one line per value, or a JSON array of everything known about them."""
    if app.output == "json":
        print_json(list(values))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for value in values:
        table.add_row(*(Text(_cell(_attribute(value, name))) for name in columns))
    _screen().print(table)


def show_one(app: App, value: Any, columns: Columns) -> None:
    """Prints one line per attribute, or a JSON object of everything known; headings of lists will do."""
    if app.output == "json":
        print_json(value)
        return
    show_facts([(_fact(heading), _attribute(value, name)) for name, heading in columns.items()])


def show_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Prints named facts, one per line, leaving out those that are not known."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for heading, fact in facts:
        if fact not in (None, "", ()):
            table.add_row(heading, Text(_cell(fact)))
    _screen().print(table)


def show_tree(tree: Tree) -> None:
    """Prints a tree."""
    _screen().print(tree)


def print_json(value: object) -> None:
    """Prints a JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def _screen() -> Console:
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _attribute(value: object, name: str) -> object:
    """An attribute, or with dots one of an attribute; None where there is nothing on the way."""
    for part in name.split("."):
        value = None if value is None else getattr(value, part)
    return value


def _fact(heading: str) -> str:
    return heading.capitalize() if heading.isupper() else heading


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:.6g}"
        case tuple() | list():
            return ", ".join(_cell(item) for item in value)
        case _:
            return getattr(value, "summary", None) or str(value)

# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/reference/cli.md`` from the commands themselves: ``python docs/generate_cli.py``.

A test compares the page with what this script would write, so the page is always that of the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from furoshiki.cli import furo
from furoshiki.cli.exits import Exit

PAGE: Final = Path(__file__).parent / "reference" / "cli.md"


def page() -> str:
    """The whole page."""
    return "\n".join([_head(), *(_command(name, command) for name, command in _commands(furo))])


def _commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _head() -> str:
    codes = "\n".join(f"| {int(code)} | {code.name} | {code.text} |" for code in Exit)
    return f"""# furo

<!-- Written by docs/generate_cli.py; do not edit. -->

{_prose(furo)}

Every command takes `--output table|json`; with `json`, stdout holds one JSON document (`logs`: one per line) and an error is
JSON on stderr.

| exit code | name | meaning |
| --- | --- | --- |
{codes}
"""


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"furo {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [_row(option, context) for option in command.params if isinstance(option, click.Option)]
    return f"""## furo {name}

```console
$ furo {name} {usage}
```

{_prose(command)}

| option | meaning |
| --- | --- |
{chr(10).join(rows)}
"""


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None  # no option is hidden
    names, meaning = (part.replace("|", "\\|") for part in record)
    return f"| `{names}` | {meaning} |"


def _prose(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

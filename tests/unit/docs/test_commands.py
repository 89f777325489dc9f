# SPDX-License-Identifier: Apache-2.0
"""What pages and messages tell people to type exists: ``furo`` commands with their options, ``make`` targets, modules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from furoshiki.cli import furo
from furoshiki.cli.app import App
from tests.unit.docs.pages import GENERATED, ROOT, Command, commands, inline, pages

SOURCES = ("core", "artifacts", "runners", "converters", "services", "registry_api", "sdk/src", "deploy")
NAMED = re.compile(r"`furo ((?:[a-z][a-z0-9-]*)(?: [^`]*)?)`")
SHOWN = [command for page in pages() if page.parent != GENERATED for command in commands(page, "furo")]
MADE = re.compile(r"^[a-z][a-z-]*$")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the inputs that pages name, away from anybody's settings."""
    np.save(tmp_path / "rows.npy", np.zeros((1, 64), np.float32))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FUROSHIKI_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_command_on_a_page_parses(shown: Command) -> None:
    """Each ``furo`` line of a code block is taken by the real parser: commands, options, choices, numbers, references."""
    command, words = reached(list(shown.words))
    make_files(command, words)
    if not {"-h", "--help", "--version"} & set(words):
        with click.Context(furo, obj=App()):
            command.make_context(command.name, words).close()


def test_pages_show_commands() -> None:
    """The search for them finds them: those of the README, and of more than a dozen pages."""
    assert {"README.md", "docs/how-to/promote.md"} <= {shown.page for shown in SHOWN}
    assert len({shown.page for shown in SHOWN}) > 12


def test_commands_in_prose_exist() -> None:
    """Each `furo …` between backticks, on pages and in messages and help texts, names a command and options it has."""
    wrong = [f"{where}: furo {text}" for where, text in named() if not exists(text)]
    assert wrong == []


def test_targets_of_make_exist() -> None:
    """Each ``make …`` on a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {word for page in pages() for command in commands(page, "make") for word in command.words[:1]}
    told = {text.split()[1] for page in pages() for text in inline(page) if re.match(r"make [a-z-]+( |$)", text)}
    assert {word for word in shown | told if MADE.match(word)} - targets == set()


def test_modules_that_are_started_exist() -> None:
    """Each ``python -m …`` of ours on a page is a module that can be started."""
    shown = [" ".join(command.words) for page in pages() for command in commands(page, "python")]
    told = [text.partition("python ")[2] for page in pages() for text in inline(page) if text.startswith("python ")]
    names = {match[1] for text in shown + told if (match := re.match(r"-m ([a-z_.0-9]+)", text))}
    ours = {name for name in names if (ROOT / name.split(".")[0]).is_dir()}
    assert len(ours) > 5
    assert [name for name in sorted(ours) if not startable(name)] == []


def reached(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words behind it."""
    command: click.Command = furo
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {words[0]!r} here: {sorted(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def make_files(command: click.Command, words: list[str]) -> None:
    """Makes the files and folders that the command wants to exist."""
    given, _, _ = command.make_parser(click.Context(command)).parse_args(args=list(words))
    for param in command.params:
        values = given.get(param.name or "")
        for value in values if isinstance(values, list | tuple) else [values]:
            wanted = isinstance(param.type, click.File) or getattr(param.type, "exists", False)
            if wanted and isinstance(value, str) and value != "-":
                Path(value).parent.mkdir(parents=True, exist_ok=True)
                Path(value).touch()


def named() -> Iterator[tuple[str, str]]:
    """Where a command is named in prose, and the words behind ``furo``."""
    for page in pages():
        yield from ((page.name, text[5:]) for text in inline(page) if re.match(r"furo [a-z]", text))
    for source in (path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))):
        text = re.sub(r"\s+", " ", re.sub(r'"\s*f?"', "", source.read_text(encoding="utf-8")))
        yield from ((source.relative_to(ROOT).as_posix(), found) for found in NAMED.findall(text))


def exists(text: str) -> bool:
    """Whether the first words name a command, and each option behind them is one of it."""
    command: click.Command = furo
    words = text.split()
    while isinstance(command, click.Group) and words:
        if words[0] not in command.commands:
            return words[0].startswith(("-", "…", "...")) and command is furo
        command, words = command.commands[words[0]], words[1:]
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    given = [part for word in words if re.match(r"--?[a-z]", word) for part in word.split("=")[0].split("/")]
    return options.issuperset(given)


def startable(name: str) -> bool:
    """Whether ``python -m`` finds something to start."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()

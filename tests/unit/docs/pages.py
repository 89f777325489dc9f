# SPDX-License-Identifier: Apache-2.0
"""The pages people read, and what is shown on them: code blocks, commands, inline code, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
GENERATED: Final = ROOT / "docs" / "reference"
_FOLDERS: Final = ("docs", "deploy", "sdk", "loadtests", "services", "tests")
_BLOCK: Final = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SHELL: Final = frozenset({"", "sh", "bash", "console", "shell"})
_DRAWN: Final = "─►"  # in a drawing, which holds words of commands only
_NEXT: Final = re.compile(r"^(?:&&|\|\||[;|&])$")  # what begins another command
_REDIRECTED: Final = re.compile(r"^\d*(?:>>?|<<?-?)$")  # what takes the next word


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command that a page shows."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def pages() -> list[Path]:
    """Every page of the repository, whoever wrote it."""
    found = {path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.md") if ".venv" not in path.parts}
    return sorted(found | set(ROOT.glob("*.md")))


def commands(page: Path, program: str) -> Iterator[Command]:
    """The calls of a program in the blocks of a page; the program's own folder and ``$`` are left out."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] in _SHELL and _DRAWN not in block["code"]:
            for line in block["code"].replace("\\\n", " ").splitlines():
                for words in _split(line):
                    if Path(words[0]).name == program:
                        yield Command(page=page.relative_to(ROOT).as_posix(), words=words[1:])


def inline(page: Path) -> list[str]:
    """Inline code, each on one line."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(found.split()) for found in _INLINE.findall(prose)]


def links(page: Path) -> list[str]:
    """Where the links of a page lead, as it writes them."""
    return _LINK.findall(_INLINE.sub("", _BLOCK.sub("", page.read_text(encoding="utf-8"))))


def _split(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line, without prompt, variables, redirections and remarks."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe: prose or a program's output
        return
    command: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if skip:
            skip = False
        elif _NEXT.match(word):
            if command:
                yield tuple(command)
            command = []
        elif _REDIRECTED.match(word):
            skip = True
        elif command or not re.match(r"[A-Z_]+=", word):
            command.append(word)

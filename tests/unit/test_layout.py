# SPDX-License-Identifier: Apache-2.0
"""The rules of the source tree that a machine can check. Layers are proved by import-linter; this proves none is left out."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Top-level packages that are no layer of the product, and why.
NO_LAYER = {
    "tests": "imports everything",
    "loadtests": "measures the product from outside",
    "deploy": "starts the product's processes",
    "docs": "builds the documentation",
    "sdk": "its own distribution; its package furoshiki has a contract of its own",
}
PRODUCT = (
    "core",
    "artifacts",
    "runners",
    "converters",
    "services",
    "registry_api",
    "sdk",
    "deploy",
    "loadtests",
    "docs",
)
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
MOST_LINES = 250
MOST_FUNCTION_LINES = 60

# Files over the bound, and why. A file that shrinks below it must leave this list.
LONG_FILES = {
    "runners/batching/batcher.py": "one state machine: its guarantees hold only if read together",
}
LONG_FUNCTIONS: dict[str, str] = {}

# Folders of tests that mirror no sources, and why.
NO_SOURCES = {"tests/integration/faults": "breaks the product as a whole"}


def python_files(*folders: str) -> list[Path]:
    skipped = {"__pycache__", ".venv", "node_modules", "build", "dist"}
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if not skipped & set(path.relative_to(ROOT).parts))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def words(text: str) -> set[str]:
    return set(text.replace("|", " ").split())


def top_level_packages() -> set[str]:
    candidates = (path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {path.name for path in candidates if any(python_files(path.name))}


def test_every_package_has_its_layer() -> None:
    """Each top-level package is a layer of the contract or a named exception, and import-linter reads each layer."""
    parser = contracts()
    layers = words(parser["importlinter:contract:layers"]["layers"])
    assert top_level_packages() - set(NO_LAYER) == layers
    assert layers | {"furoshiki"} == words(parser["importlinter"]["root_packages"])


def test_every_slice_of_the_registry_has_its_place() -> None:
    """Each package of the registry API stands in the contract that orders them."""
    layers = words(contracts()["importlinter:contract:registry-slices"]["layers"])
    slices = {f"registry_api.{path.parent.name}" for path in (ROOT / "registry_api").glob("*/__init__.py")}
    assert slices == layers


def test_every_room_of_the_services_has_its_place() -> None:
    """Each package of the inference service stands in the contract that orders them."""
    layers = words(contracts()["importlinter:contract:serving-rooms"]["layers"])
    rooms = {f"services.{path.parent.name}" for path in (ROOT / "services").glob("*/__init__.py")}
    assert rooms == layers


@pytest.mark.parametrize("folder", [*PRODUCT, "tests"])
def test_every_file_names_its_licence(folder: str) -> None:
    """The first line of each file is its SPDX identifier."""
    line = "# SPDX-License-Identifier: Apache-2.0"
    assert [name(p) for p in python_files(folder) if not p.read_text().startswith(line + "\n")] == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_every_file_says_why_it_exists(folder: str) -> None:
    """Each module starts with its reason."""
    silent = [name(p) for p in python_files(folder) if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_no_drawer_for_odds_and_ends() -> None:
    """No file or package is called utils, common, helpers or base."""
    parts = {name(p): {*p.relative_to(ROOT).parent.parts, p.stem} for p in python_files(*PRODUCT, "tests")}
    assert [path for path, names in parts.items() if names & FORBIDDEN_NAMES] == []


def test_no_file_is_too_long() -> None:
    """At most 250 lines; the exceptions are listed with their reason, and only as long as they are needed."""
    lengths = {name(p): len(p.read_text().splitlines()) for p in python_files(*PRODUCT)}
    assert {path for path, lines in lengths.items() if lines > MOST_LINES} == set(LONG_FILES)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_too_long() -> None:
    """At most 60 lines, decorators and docstring not counted."""
    long = set()
    for path in python_files(*PRODUCT):
        for function in functions(path):
            documented = ast.get_docstring(function) is not None
            first = function.body[1 if documented and len(function.body) > 1 else 0].lineno
            if (function.end_lineno or first) - first >= MOST_FUNCTION_LINES:
                long.add(f"{name(path)}:{function.name}")
    assert long == set(LONG_FUNCTIONS)


def test_tests_mirror_sources() -> None:
    """Below each kind of test, the folders are those of the sources they test."""
    kinds = [kind for kind in (ROOT / "tests").iterdir() if kind.is_dir() and not kind.name.startswith("_")]
    strays = [
        name(folder)
        for kind in kinds
        for folder in kind.iterdir()
        if folder.is_dir() and not folder.name.startswith("_") and not (ROOT / folder.name).is_dir()
    ]
    assert strays == list(NO_SOURCES)

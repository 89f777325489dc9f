# SPDX-License-Identifier: Apache-2.0
"""What layers make of each other: the last one counts, and what unpackers do differently is refused."""

from __future__ import annotations

import time

import pytest

from artifacts.stores.testing import refused
from artifacts.supply.filesystem import Filesystem
from core.errors import ErrorCode


def tree_of(*layers: tuple[str, ...]) -> dict[str, str]:
    """What is there after these layers: "path" a file, "path/" a folder, "path@" a link; marks are the layers' numbers."""
    tree: Filesystem[str] = Filesystem()
    for number, layer in enumerate(layers, start=1):
        tree.next_layer()
        for entry in layer:
            path = entry.rstrip("/@")
            if tree.removed(path):
                continue
            if entry.endswith("/"):
                tree.folder(path)
            else:
                tree.file(path, str(number), link=entry.endswith("@"))
    return dict(tree.marks())


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ((("a", "b/c"), ("a",)), {"a": "2", "b/c": "1"}),
        ((("a", "a"),), {"a": "1"}),
        ((("b/c", "b/d"), ("b/.wh.c",)), {"b/d": "1"}),
        ((("b/c",), (".wh.b",)), {}),
        ((("b/c",), ("b",)), {"b": "2"}),
        ((("b",), ("b/", "b/c")), {"b/c": "2"}),
        ((("b/c/d", "b/e"), ("b/", "b/.wh..wh..opq", "b/f")), {"b/f": "2"}),
        ((("b/c/d", "b/e"), ("b/+", "b/c/g", "b/.wh..wh..opq", "b/f")), {"b/+": "2", "b/c/g": "2", "b/f": "2"}),
        ((("b/c",), (".wh..wh..opq", "d")), {"d": "2"}),
        ((("b/c", "x@"), ("b@", "x/", "x/y")), {"b": "2", "x/y": "2"}),
        ((("b@",), (".wh.b",), ("b/c",)), {"b/c": "3"}),
        (((".wh.none", "none/.wh..wh..opq"),), {}),
    ],
)
def test_the_last_layer_that_says_something_counts(layers: tuple[tuple[str, ...], ...], found: dict[str, str]) -> None:
    """Replaced, removed, emptied: what a layer itself brings survives that it empties a folder, wherever the note stands."""
    assert tree_of(*layers) == found


@pytest.mark.parametrize(
    "layers",
    [
        (("x@", "x/y"),),
        (("x@",), ("x/y",)),
        (("x@",), ("x/.wh.y",)),
        (("x@",), ("x/.wh..wh..opq",)),
        (("x@",), ("x/y/",)),
    ],
)
def test_a_path_through_a_link_is_refused(layers: tuple[tuple[str, ...], ...]) -> None:
    """Some unpackers follow the link, others replace it."""
    with refused(ErrorCode.MANIFEST_INVALID, "link"):
        tree_of(*layers)


@pytest.mark.parametrize("layer", [("a", ".wh.a"), ("b/c", ".wh.b")])
def test_a_layer_does_not_remove_what_it_brings(layer: tuple[str, ...]) -> None:
    """Some unpackers remove it, others do not."""
    with refused(ErrorCode.MANIFEST_INVALID, "beside"):
        tree_of(layer)


def test_many_entries_take_little_time() -> None:
    """Each replacing, removing and emptying beside a hundred thousand others: no step looks at them all."""
    tree: Filesystem[str] = Filesystem()
    began = time.process_time()
    for number in range(100_000):
        tree.file(f"a/{number}", "x")
    tree.next_layer()
    for number in range(20_000):
        tree.file(f"a/{number}", "y")
        tree.removed(f"a/.wh.{number + 50_000}")
        tree.removed("a/.wh..wh..opq")
    assert time.process_time() - began < 5
    assert len(dict(tree.marks())) == 20_000

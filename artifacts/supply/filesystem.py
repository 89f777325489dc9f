# SPDX-License-Identifier: Apache-2.0
"""What the layers of an image make of each other: a tree of the paths that matter, as a container would see them.

After the OCI image specification v1.1, ``layer.md``: a later entry replaces an earlier one; ``.wh.NAME`` removes what layers
below have there, ``.wh..wh..opq`` everything that they have in its folder. What unpackers do differently is refused: a path
that leads through a link, and a name that one layer both adds and removes.

What is neither marked nor a link is not remembered, so memory grows with what matters. Each step costs no more than the
depth of its path, but for opaque folders, which cost what lies in them, once for each layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from artifacts.oci.refusals import invalid_document

M = TypeVar("M")

_REMOVED: Final = ".wh."
_EMPTIED: Final = ".wh..wh..opq"


class _Node(Generic[M]):
    """A folder if it has children, a link if ``link``, otherwise what was marked."""

    __slots__ = ("children", "emptied", "layer", "link", "mark")

    def __init__(self, layer: int) -> None:
        self.layer = layer  # the last one that put it, or anything below it, there
        self.emptied = -1  # the last layer that emptied it
        self.link = False
        self.mark: M | None = None
        self.children: dict[str, _Node[M]] | None = {}


class Filesystem(Generic[M]):
    """The image as the layers so far make it, with a mark of the caller's at each path that matters.

    Every method raises ``SIGN_010`` (SignatureError) at a path that leads through a link.
    """

    def __init__(self) -> None:
        self._layer = 0
        self._root: _Node[M] = _Node(0)

    def next_layer(self) -> None:
        """What comes now is of the layer above."""
        self._layer += 1

    def removed(self, path: str) -> bool:
        """Whether ``path`` is a note that removes something; that is then done.

        Raises:
            SignatureError: ``SIGN_010`` if this layer itself has put there what it removes.
        """
        folder, _, name = path.rpartition("/")
        if name == _EMPTIED:
            found = self._at(folder)
            if found is not None:
                self._empty(found)
            return True
        if not name.startswith(_REMOVED):
            return False
        above, gone = self._at(folder), name.removeprefix(_REMOVED)
        removed = above.children.pop(gone, None) if above is not None and above.children is not None else None
        if removed is not None and removed.layer == self._layer:
            raise invalid_document("a layer", f"{path[:200]!a} beside what it removes", "one of them")
        return True

    def folder(self, path: str) -> None:
        """A folder; what it holds already stays."""
        above, name = self._above(path, make=False)
        if above is None or above.children is None or (found := above.children.get(name)) is None:
            return
        if found.children is None:
            del above.children[name]
        else:
            found.layer = self._layer

    def file(self, path: str, mark: M | None = None, *, link: bool = False) -> None:
        """Anything but a folder.

        Args:
            path: Where.
            mark: What to remember of it; None: nothing.
            link: Whether paths that go on below it lead elsewhere.
        """
        kept = link or mark is not None
        above, name = self._above(path, make=kept)
        if above is None or above.children is None:
            return
        above.children.pop(name, None)
        if kept:
            node = above.children[name] = _Node(self._layer)
            node.children, node.mark, node.link = None, mark, link

    def marks(self) -> Iterator[tuple[str, M]]:
        """Every path that has a mark, and the mark."""
        waiting = [("", self._root)]
        while waiting:
            path, node = waiting.pop()
            if node.mark is not None:
                yield path, node.mark
            waiting.extend((f"{path}/{name}" if path else name, child) for name, child in (node.children or {}).items())

    def _above(self, path: str, *, make: bool) -> tuple[_Node[M] | None, str]:
        folder, _, name = path.rpartition("/")
        return (self._at(folder, make=make) if name else None), name

    def _at(self, path: str, *, make: bool = False) -> _Node[M] | None:
        node = self._root
        for part in path.split("/") if path else ():
            if node.children is None:
                return None
            found = node.children.get(part)
            if found is not None and found.children is None:
                if found.link:
                    raise invalid_document("a layer", f"{path[:200]!a}, which leads through a link", "a plain path")
                found = None
            if found is None:
                if not make:
                    return None
                found = node.children[part] = _Node(self._layer)
            if make:
                found.layer = self._layer
            node = found
        return node

    def _empty(self, folder: _Node[M]) -> None:
        """Forgets what lower layers have in a folder."""
        waiting = [folder]
        while waiting:
            node = waiting.pop()
            if node.emptied == self._layer or node.children is None:
                continue
            node.emptied = self._layer
            for name, child in list(node.children.items()):
                if child.layer == self._layer:
                    waiting.append(child)
                else:
                    del node.children[name]

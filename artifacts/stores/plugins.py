# SPDX-License-Identifier: Apache-2.0
"""Blob stores of other distributions, offered by entry points of the group ``furoshiki.stores``.

An entry point's object is a :class:`StorePlugin`, or a class that makes one without arguments; see :mod:`core.plugins` on one
that fails. It gives an object store of obstore, the library that ours are made of; names, encryption, parts, collection and
the check of every digest stay as they are on top of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import Final, Protocol

from obstore.store import ObjectStore

from artifacts.stores.bucket import Bucket
from artifacts.stores.publishing import DirectPublisher, Parts
from core.errors import ErrorCode, InitError
from core.plugins import CONTAINED, Plugin, plugins, said

GROUP: Final = "furoshiki.stores"
PORT_VERSION: Final = 1
"""Of this port. A plugin written for another version is refused."""

OURS: Final = ("file", "s3", "memory")
"""Kinds of URL that no plugin may have."""


class StorePlugin(Protocol):
    """Opens stores of one kind of URL."""

    @property
    def port(self) -> int:
        """The :data:`PORT_VERSION` it was written for."""
        ...

    @property
    def name(self) -> str:
        """The scheme of the URLs it opens: ``gs`` for ``gs://bucket/prefix``."""
        ...

    def is_available(self) -> str | None:
        """None if it can open stores here, else the reason and the remedy."""
        ...

    def open(self, url: str) -> ObjectStore:
        """The store at a URL. It must be able to create an object only if there is none (``mode="create"``)."""
        ...


def open_other(scheme: str, url: str, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Bucket | None:
    """The store at a URL of a plugin's kind; None: no plugin has that kind.

    Args:
        scheme: Of the URL.
        url: All of it.
        entry_points: Of the group; None: of the distributions that are installed.

    Raises:
        InitError: ``INIT_002`` with the reason if the plugin cannot be used or does not open the store.
    """
    known: list[Plugin[StorePlugin]] = plugins(GROUP, port=PORT_VERSION, taken=OURS, entry_points=entry_points)
    found = next((plugin for plugin in known if plugin.name == scheme), None)
    if found is None:
        return None
    if found.value is None or found.reason is not None:
        raise _unusable(found, str(found.reason))
    try:
        store = found.value.open(url)
    except CONTAINED as error:
        raise _unusable(found, said(error)) from error
    return Bucket(store, DirectPublisher(store, parts=Parts()))


def _unusable(plugin: Plugin[StorePlugin], reason: str) -> InitError:
    return InitError(
        ErrorCode.SETTING_INVALID,
        f"FUROSHIKI_STORE__URL: the store {plugin.name!r} of {plugin.origin} cannot be used: {reason}",
    )

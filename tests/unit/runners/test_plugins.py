# SPDX-License-Identifier: Apache-2.0
"""Backends of other distributions: what is used, what is disabled, and that nothing they do is fatal."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.interface import PORT_VERSION, Backend
from runners.plugins import GROUP, OURS, Offer, offers

MODULE = "plugin_under_test"


class Plugin:
    """A plugin whose every word a test may change."""

    def __init__(self, **words: Any) -> None:
        self.port = PORT_VERSION
        self.name = "other-cpu"
        self.formats: Any = frozenset({"other"})
        self.device = "cpu"
        self.made = 0
        self.__dict__.update(words)

    def is_available(self) -> str | None:
        return None

    def backend(self) -> Backend:
        self.made += 1
        return object()  # type: ignore[return-value] # never used here


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """The module that entry points of a test point into."""
    made = types.ModuleType(MODULE)
    sys.modules[MODULE] = made
    yield made
    del sys.modules[MODULE]


def offered(module: types.ModuleType, plugin: object) -> Offer:
    """What becomes of one plugin."""
    module.plugin = plugin  # type: ignore[attr-defined]
    (offer,) = offers((), [EntryPoint(name="other", value=f"{MODULE}:plugin", group=GROUP)])
    return offer


def test_a_plugin_is_offered(module: types.ModuleType) -> None:
    """With its name, formats and device; its backend is made once."""
    plugin = Plugin()
    offer = offered(module, plugin)
    assert (offer.name, offer.formats, offer.device, offer.reason) == ("other-cpu", frozenset({"other"}), "cpu", None)
    assert offer.backend() is offer.backend()
    assert plugin.made == 1


def test_a_class_is_called(module: types.ModuleType) -> None:
    """An entry point may name the class."""
    assert offered(module, Plugin).reason is None


def test_one_that_is_not_available_keeps_its_reason(module: types.ModuleType) -> None:
    """It is listed and cannot be made."""
    offer = offered(module, Plugin(is_available=lambda: "no such chip; insert one"))
    assert offer.reason == "no such chip; insert one"
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "other-cpu", "insert one"):
        offer.backend()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"port": PORT_VERSION + 1}, f"version {PORT_VERSION + 1}"),
        ({"port": None}, "version None"),
        ({"name": "Other Runner"}, "its name"),
        ({"device": ""}, "its device"),
        ({"formats": ["other"]}, "its formats"),
        ({"formats": frozenset()}, "its formats"),
        ({"formats": frozenset({1})}, "its formats"),
    ],
)
def test_one_that_says_nonsense_is_disabled(module: types.ModuleType, words: dict[str, Any], reason: str) -> None:
    """With what is wrong, under the name of its entry point."""
    offer = offered(module, Plugin(**words))
    assert offer.name == "unknown:other"
    assert offer.formats == frozenset()
    assert reason in str(offer.reason)


def failing(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), ImportError("no libother.so")], ids=repr)
def test_one_that_fails_is_disabled(module: types.ModuleType, error: BaseException) -> None:
    """Whether it fails when it is made, asked or used; the others go on."""
    assert "entry point failed" in str(
        offered(module, type("Bad", (), {"__init__": lambda _: failing(error)()})).reason
    )
    assert "is_available()" in str(offered(module, Plugin(is_available=failing(error))).reason)
    offer = offered(module, Plugin(backend=failing(error)))
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "other-cpu"):
        offer.backend()


def test_one_that_cannot_be_imported_is_disabled() -> None:
    """A missing module is a reason like any other."""
    (offer,) = offers((), [EntryPoint(name="gone", value="no_such_module_at_all:plugin", group=GROUP)])
    assert "no_such_module_at_all" in str(offer.reason)


def test_our_own_come_first_and_keep_their_names(module: types.ModuleType) -> None:
    """A plugin cannot take the place of one of ours."""
    module.plugin = Plugin(name="ours-cpu")  # type: ignore[attr-defined]
    ours, other = offers([Plugin(name="ours-cpu")], [EntryPoint(name="other", value=f"{MODULE}:plugin", group=GROUP)])
    assert (ours.origin, ours.reason) == (OURS, None)
    assert "taken" in str(other.reason)

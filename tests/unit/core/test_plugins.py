# SPDX-License-Identifier: Apache-2.0
"""What other distributions offer: found where it is installed, disabled with a reason where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.plugins import Plugin, plugins
from tests.distributions import installed

GROUP = "furoshiki.tests"
GOOD = """
    class Plugin:
        port = 3
        name = "good"
        def is_available(self):
            return None
"""


def found(folder: Path, code: str, *, taken: tuple[str, ...] = ()) -> Plugin[object]:
    """What becomes of one distribution."""
    with installed(folder, group=GROUP, module="good_plugin", code=code):
        (plugin,) = plugins(GROUP, port=3, taken=taken)
    return plugin


def test_an_installed_one_is_found(tmp_path: Path) -> None:
    """With its name, where it comes from, and itself; when it is gone nothing is."""
    plugin = found(tmp_path, GOOD)
    assert (plugin.name, plugin.origin, plugin.reason) == ("good", "good_plugin 1.0", None)
    assert type(plugin.value).__name__ == "Plugin"
    assert plugins(GROUP, port=3) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("port = 3", "port = 2"), "version 2 of the port; this is version 3"),
        (('"good"', '"No word"'), "its name is 'No word'"),
        (("class Plugin", "import no_such_module\n    class Plugin"), "ModuleNotFoundError"),
        (("port = 3", "pass"), "has no attribute 'port'"),
        (("port = 3", "def __init__(self): raise SystemExit(1)"), "SystemExit"),
    ],
)
def test_a_wrong_one_is_disabled(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """It is listed under its distribution and entry point, with what is wrong, and its object is not given out."""
    plugin = found(tmp_path, GOOD.replace(*change))
    assert plugin.name == "good_plugin 1.0:good_plugin"
    assert plugin.value is None
    assert reason in str(plugin.reason)


def test_a_taken_name_is_not_taken_over(tmp_path: Path) -> None:
    """Who had the name keeps it."""
    plugin = found(tmp_path, GOOD, taken=("good",))
    assert (plugin.value, plugin.reason) == (None, "its name 'good' is taken; it must be another")


@pytest.mark.parametrize(
    ("answer", "reason"), [("return 'no card'", "no card"), ("raise OSError('bus')", "OSError: bus")]
)
def test_one_that_is_not_available_says_why(tmp_path: Path, answer: str, reason: str) -> None:
    """Whether it says so or fails to."""
    plugin = found(tmp_path, GOOD.replace("return None", answer))
    assert plugin.name == "good"
    assert str(plugin.reason).endswith(reason)

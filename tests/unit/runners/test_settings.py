# SPDX-License-Identifier: Apache-2.0
"""Where the model runs, from the settings of the server."""

from __future__ import annotations

import os

import pytest

from core.errors import InitError
from runners.remote.limits import WireLimits
from runners.settings import ServingSettings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FUROSHIKI_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("source", "topology", "workers", "split"),
    [
        ("bundle", None, "1", False),
        ("bundle", None, "2", True),
        ("bundle", "split", "1", True),
        ("bundle", "embedded", "4", False),
        ("registry", None, "4", False),
        ("registry", "split", "1", False),
    ],
)
def test_topology(
    monkeypatch: pytest.MonkeyPatch, source: str, topology: str | None, workers: str, split: bool
) -> None:
    """One bundle with several API workers is split unless told otherwise; a registry's models never are."""
    monkeypatch.setenv("FUROSHIKI_SOURCE", source)
    monkeypatch.setenv("FUROSHIKI_HTTP__WORKERS", workers)
    if topology is not None:
        monkeypatch.setenv("FUROSHIKI_TOPOLOGY", topology)
    assert ServingSettings.read().is_split is split


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOPOLOGY", "spread"), ("HTTP__WORKERS", "0"), ("SPLIT__SILENCE_S", "0"), ("SPLIT__IN_FLIGHT", "x")],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The variable, what it holds and what was expected."""
    monkeypatch.setenv(f"FUROSHIKI_{name}", value)
    with pytest.raises(InitError, match=f"FUROSHIKI_{name}: got '{value}'"):
        ServingSettings.read()


def test_the_wires_limits_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are those of the wire itself, and each may be set."""
    assert ServingSettings.read().split.wire == WireLimits()
    monkeypatch.setenv("FUROSHIKI_SPLIT__SHARED_ABOVE", "1024")
    assert ServingSettings.read().split.wire == WireLimits(shared_above=1024)

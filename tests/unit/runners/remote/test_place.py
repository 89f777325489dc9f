# SPDX-License-Identifier: Apache-2.0
"""Every process of one server finds the same socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.remote.place import SERVICE, socket_path


def test_beside_bentomls_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting the socket lies in the folder BentoML made for this server."""
    monkeypatch.setenv("BENTOML_RUNNER_MAP", json.dumps({SERVICE: "file:///tmp/bentoml-uds-x%20y/1.sock"}))
    assert socket_path(None) == Path("/tmp/bentoml-uds-x y/furoshiki-runner.sock")


def test_where_the_operator_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a setting it lies there, wherever the process was started."""
    monkeypatch.chdir(tmp_path)
    assert socket_path(Path("run")) == tmp_path / "run" / "furoshiki-runner.sock"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps({SERVICE: "tcp://127.0.0.1:4000"})])
def test_nowhere_is_told(monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    """When BentoML uses ports instead of sockets, the missing setting is named."""
    monkeypatch.delenv("BENTOML_RUNNER_MAP", raising=False)
    if content is not None:
        monkeypatch.setenv("BENTOML_RUNNER_MAP", content)
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_SPLIT__SOCKET_DIR"):
        socket_path(None)

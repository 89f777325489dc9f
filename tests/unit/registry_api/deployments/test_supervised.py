# SPDX-License-Identifier: Apache-2.0
"""What is started under a supervisor is found again, told what to do and heard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from registry_api.deployments.logs import last_lines
from registry_api.deployments.process import ProcessOptions, ProcessTarget
from registry_api.deployments.supervised import Supervised, auth_in, marks_of, runs_in, settings_of
from registry_api.deployments.target import RUN_VARIABLE, Launch
from registry_api.deployments.values import AuthMode
from registry_api.jobs.process import end_by_variable, plain_environment


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """One start."""
    run = tmp_path.name + "-run"
    folder = tmp_path / "deployments" / "shop" / run
    folder.mkdir(parents=True)
    return Launch(deployment_id="shop", run=run, folder=folder, auth=AuthMode.OPEN)


@pytest.fixture
def start(launch: Launch, tmp_path: Path) -> Callable[[Supervised], int]:
    """Starts a child that waits for its end."""
    told = settings_of(launch, trust_dir=tmp_path, registry_url="http://127.0.0.1:9")
    environment = plain_environment() | told | marks_of(launch, tmp_path / "deployments")
    code = "import signal; print('here', flush=True); signal.pause()"

    def started(supervised: Supervised) -> int:
        return supervised.start(launch, [sys.executable, "-c", code], environment=environment)

    return started


def test_a_child_is_alive_from_the_first_moment_until_it_was_asked_to_end(
    launch: Launch, start: Callable[[Supervised], int], tmp_path: Path
) -> None:
    """Also seen by who did not start it; another run's name does not fit; its output is in the log."""
    supervised = Supervised()
    pid = start(supervised)
    assert supervised.alive(launch.run, pid)
    assert not supervised.alive("another", pid)
    process = psutil.Process(pid)
    while "here" not in last_lines(launch.logs):
        assert process.is_running()
    assert Supervised().alive(launch.run, pid)
    assert runs_in(tmp_path / "deployments") == {launch.run: "shop"}
    assert auth_in(tmp_path / "deployments") == {launch.run: "open"}
    options = ProcessOptions(folder=tmp_path / "deployments", trust_dir=tmp_path, registry_url="http://127.0.0.1:9")
    closed = replace(launch, auth=AuthMode.API_KEY)
    assert ProcessTarget(options).differences([launch]) == {}
    assert ProcessTarget(options).differences([closed]) == {
        launch.run: "FUROSHIKI_AUTH__MODE is open instead of api_key"
    }
    assert supervised.ask_to_end(launch.run, pid)
    psutil.wait_procs([process], timeout=20)
    assert not supervised.alive(launch.run, pid)
    assert not supervised.ask_to_end(launch.run, pid)
    assert end_by_variable(RUN_VARIABLE, launch.run) == 0


def test_a_stranger_with_that_number_is_not_alive(launch: Launch) -> None:
    """A process id that is used again by another process does not count."""
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        assert not Supervised().alive(launch.run, stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_settings_name_what_a_service_needs(launch: Launch) -> None:
    """Where trust is, who may call, whom to ask."""
    told = settings_of(launch, trust_dir=Path("/run/trust"), registry_url="http://127.0.0.1:9")
    assert told["FUROSHIKI_TRUST__DIR"] == "/run/trust"
    assert (told["FUROSHIKI_AUTH__MODE"], told["FUROSHIKI_REGISTRY__URL"]) == ("open", "http://127.0.0.1:9")

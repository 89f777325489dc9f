# SPDX-License-Identifier: Apache-2.0
"""The target ``podman``, with the real podman and runc: what a container gets, how it ends, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from artifacts.stores.testing import refused
from core.errors import ErrorCode
from deploy.local.stack import free_port
from registry_api.deployments.logs import last_lines
from registry_api.deployments.podman.target import PIDS
from registry_api.deployments.target import RUN_VARIABLE
from registry_api.deployments.values import AuthMode, Limits
from registry_api.jobs.process import find_by_variable
from tests.integration.registry_api.deployments.podman.conftest import Images, Room, answer
from tests.integration.registry_api.deployments.podman.waiting import until

_SECRET = "hvs.c2VjcmV0LW9mLXRoZS13b3JrZXI"


def test_a_container_gets_what_it_needs_and_nothing_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings, the trust policies, /tmp; no secret of the worker, no capability, no right to write, limits."""
    monkeypatch.setenv("FUROSHIKI_VAULT__TOKEN", _SECRET)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    target, launch = room.target(), room.launch(limits=Limits(cpus=0.5, memory_bytes=256 << 20))
    started = target.start(launch)
    seen = answer(target, launch, started)
    environment = seen["environment"]
    assert (environment["FUROSHIKI_AUTH__MODE"], environment["FUROSHIKI_REGISTRY__URL"]) == (
        "open",
        "http://127.0.0.1:9",
    )
    assert _SECRET not in str(environment)
    assert not [name for name in environment if "PROXY" in name.upper()]
    assert (seen["user"], seen["capabilities"], seen["privileges"]) == (65532, "0" * 16, "1")
    assert (seen["trust"], seen["writable"]) == (["acme.json"], ["/tmp"])
    limits = set(seen["limits"].values())
    assert {str(256 << 20), str(PIDS)} <= limits
    assert limits & {"50000", "50000 100000"}
    for process in find_by_variable(RUN_VARIABLE, launch.run):
        assert _SECRET not in str(process.environ())


def test_it_runs_by_digest_and_outlives_its_worker(room: Room) -> None:
    """Another worker on the same storage finds it by name, sees it answer, and ends it politely; its log is kept."""
    launch = room.launch()
    started = room.target().start(launch)
    following = room.target()
    assert answer(following, launch, started)["user"] == 65532
    assert following.runs() == {launch.run: room.shop}
    image = room.engine.run("ps", "--format", "{{.Image}}").strip()
    assert image == f"localhost/furoshiki@{room.images.here}"
    assert following.alive(launch.run, started.pid)
    following.end_run(launch.run, started.pid)
    assert not following.alive(launch.run, started.pid)
    assert following.runs() == {}
    assert "starting" in last_lines(launch.logs).splitlines()
    assert last_lines(launch.logs).splitlines()[-1] == "asked to end"


def test_the_last_container_takes_the_image_with_it(room: Room) -> None:
    """Two starts share the image's layers; the first to end leaves them, the second leaves nothing."""
    target, one, two = room.target(), room.launch(), room.launch()
    started = [target.start(one), target.start(two)]
    for launch, each in zip((one, two), started, strict=True):
        answer(target, launch, each)
    target.end_run(one.run, started[0].pid)
    assert room.engine.containers() == (f"furoshiki.{room.shop}.{two.run}",)
    assert target.answers(two.run, started[1].url)
    target.end_run(two.run, None)
    assert not (room.home / "podman" / "storage").exists()


def test_two_starts_on_one_port(room: Room) -> None:
    """The second ends by itself and says why in its log, so that another port is tried; the first does not notice."""
    port = free_port()
    room.ports = lambda: port
    target, first, second = room.target(), room.launch(), room.launch()
    winner = target.start(first)
    answer(target, first, winner)
    loser = target.start(second)
    until(lambda: not target.alive(second.run, loser.pid))
    assert "address already in use" in last_lines(second.logs).lower()
    assert not target.answers(second.run, loser.url)
    target.end_run(second.run, loser.pid)
    assert target.answers(first.run, winner.url)


def test_a_container_killed_from_outside_is_seen_to_be_gone(room: Room) -> None:
    """Whether its process or the supervisor of its log is killed: not alive, and ending it leaves nothing."""
    target, launch, watched = room.target(), room.launch(), room.launch()
    started, left = target.start(launch), target.start(watched)
    answer(target, launch, started)
    answer(target, watched, left)
    room.engine.run("kill", f"furoshiki.{room.shop}.{launch.run}")
    until(lambda: not target.alive(launch.run, started.pid))
    psutil.Process(left.pid).kill()
    until(lambda: not target.alive(watched.run, left.pid))
    assert target.answers(watched.run, left.url)  # the container itself goes on, until it is ended
    for run, pid in ((launch.run, started.pid), (watched.run, left.pid)):
        target.end_run(run, pid)
        assert list(find_by_variable(RUN_VARIABLE, run)) == []


def test_what_was_changed_behind_our_back_is_told(room: Room) -> None:
    """Limits changed by hand, which podman itself does not tell, and who may call; one podman call for all containers."""
    limits = Limits(cpus=0.5, memory_bytes=256 << 20)
    target, one, two = room.target(), room.launch(limits=limits), room.launch(limits=limits)
    for launch in (one, two):
        answer(target, launch, target.start(launch))
    ended = room.launch()
    assert target.differences([one, two, ended]) == {}
    room.engine.run("update", "--memory", "128m", f"furoshiki.{room.shop}.{two.run}")
    opened = replace(one, auth=AuthMode.API_KEY, limits=replace(limits, cpus=1.0))
    assert target.differences([opened, two]) == {
        one.run: "FUROSHIKI_AUTH__MODE is open instead of api_key; it may use 0.5 processors instead of 1",
        two.run: f"it may use {128 << 20} bytes of memory instead of {256 << 20}",
    }


def test_a_container_replaced_by_hand_counts_as_gone(room: Room) -> None:
    """One of the same name is none of ours: its supervisor is gone, what it runs is named, and ending removes it."""
    target, launch = room.target(), room.launch()
    started = target.start(launch)
    answer(target, launch, started)
    name, image = f"furoshiki.{room.shop}.{launch.run}", f"localhost/furoshiki@{room.images.here}"
    room.engine.run("rm", "--force", "--time", "0", name)
    sleep = ("/usr/bin/python3", "-c", "import signal; signal.pause()")
    room.engine.run("run", "--detach", "--network", "host", "--log-driver", "none", "--name", name, image, *sleep)
    until(lambda: not target.alive(launch.run, started.pid))
    told: list[str] = []

    def compared() -> bool:  # a look that podman does not answer tells nothing; the next one asks again
        told.extend(target.differences([launch]).values())
        return bool(told)

    until(compared)
    assert "its command is another one instead of the image's" in told[0]
    assert "its root is writable instead of read-only" in told[0]
    target.end_run(launch.run, started.pid)
    assert target.runs() == {}


def test_one_that_ignores_the_signal_is_killed(room: Room) -> None:
    """After the grace, and not before."""
    target, launch = room.target(grace_seconds=1.0), room.launch()
    started = target.start(launch)
    answer(target, launch, started)
    (server,) = [each for each in find_by_variable(RUN_VARIABLE, launch.run) if "/serve.py" in each.cmdline()]
    server.suspend()
    before = time.monotonic()
    target.end_run(launch.run, started.pid)
    assert 0.9 < time.monotonic() - before < 9.0
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("moment", ["pull", "create", "start"])
def test_podman_killed_in_the_middle_of_a_start(room: Room, moment: str, tmp_path: Path) -> None:
    """A worker and its podman killed -9 at any moment: ``end_all`` finds and removes what was half made."""
    launch, script = room.launch(), tmp_path / "worker.py"
    script.write_text(_WORKER)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    argv = [sys.executable, str(script), str(launch.folder), str(room.images.here)]
    worker = subprocess.Popen(argv, env=environment, start_new_session=True)
    until(lambda: any(moment in _arguments(each) for each in find_by_variable(RUN_VARIABLE, launch.run)))
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    target = room.target()
    target.end_all(room.shop)
    assert target.runs() == {}
    assert list(find_by_variable(RUN_VARIABLE, launch.run)) == []
    again = room.launch()
    assert answer(target, again, target.start(again))["user"] == 65532


_WORKER = """
import sys
from pathlib import Path
from registry_api.deployments.podman.target import PodmanOptions, PodmanTarget
from registry_api.deployments.target import Launch
from registry_api.deployments.values import AuthMode

folder, image = Path(sys.argv[1]), sys.argv[2]
deployment, home = folder.parent.name, folder.parents[2]
(home / "trust").mkdir(exist_ok=True)
options = PodmanOptions(
    folder=home / "deployments", home=home / "podman", trust_dir=home / "trust", registry_url="http://127.0.0.1:9"
)
launch = Launch(deployment_id=deployment, run=folder.name, folder=folder, auth=AuthMode.OPEN, image=image)
PodmanTarget(options).start(launch)
sys.stdin.read()
"""


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_an_image_that_is_not_there_or_not_for_this_machine(room: Room, images: Images) -> None:
    """STORE_002 and IMAGE_003 before podman is asked; no image at all: VALID_002. Nothing is left."""
    target, unknown = room.target(), "sha256:" + "0" * 64
    with refused(ErrorCode.BLOB_NOT_FOUND, unknown):
        target.start(room.launch(image=unknown))
    with refused(ErrorCode.IMAGE_PLATFORM, "linux/arm64"):
        target.start(room.launch(image=images.elsewhere))
    with refused(ErrorCode.INVALID_FIELD, "podman"):
        target.start(replace(room.launch(), image=None))
    assert target.runs() == {}


def test_without_podman(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``missing`` names what to install, a start is DEVICE_001, and ending does nothing."""
    assert room.target().missing() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    target, launch = room.target(), room.launch()
    assert "podman and runc" in (target.missing() or "")
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "podman"):
        target.start(launch)
    target.end_run(launch.run, None)
    target.end_all(room.shop)
    assert target.runs() == {}


def test_a_full_disk(room: Room) -> None:
    """STORE_004, and nothing is left: the storage lies on a disk of 16 MB."""
    storage = room.home / "podman"
    storage.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", storage], check=True)
    try:
        target, launch = room.target(), room.launch()
        with refused(ErrorCode.STORE_FULL, "room"):
            target.start(launch)
        target.end_run(launch.run, None)
        assert target.runs() == {}
        with room.engine.turn():
            room.engine.clear()
    finally:
        subprocess.run(["umount", storage], check=True)


def test_after_a_boot_nothing_that_was_noted_before_counts(room: Room) -> None:
    """podman's notes of running containers are forgotten once; the container that was there can be removed and made again."""
    target, launch = room.target(), room.launch()
    started = target.start(launch)
    answer(target, launch, started)
    target.end_run(launch.run, started.pid)
    notes = room.home / "podman" / "run"
    notes.mkdir()
    (notes / "stale").touch()
    (room.home / "podman" / "boot").write_text("another boot\n")
    again = room.launch()
    following = room.target()
    assert answer(following, again, following.start(again))["user"] == 65532
    assert not (notes / "stale").exists()

# SPDX-License-Identifier: Apache-2.0
"""Runs images of OCI layouts by podman: by digest, as any user, with a storage that is gone afterwards.

The container gets what a careful deployment gives it: a root nobody can write to, no capabilities, no new privileges. It
shares the host's network. Needs the Debian packages ``podman`` and ``runc``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from deploy.local.stack import NotStarted

_HARDENED: Final = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host")
_CONTAINERS: Final = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """podman with a storage of its own.

    Args:
        home: New folder; removed with everything in it by :func:`podman`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(parents=True)
        (home / "containers.conf").write_text(_CONTAINERS)
        (home / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        if shutil.which("podman") is None:
            raise NotStarted("podman is not installed; run deploy/local/apt.sh podman runc")

    def pull(self, layout: Path, tag: str) -> str:
        """Takes an image of an OCI layout; returns its id."""
        policy = str(self._home / "policy.json")
        link = self._home / "layout"  # podman makes an image name of the path, and refuses most paths as one
        link.unlink(missing_ok=True)
        link.symlink_to(layout.resolve())
        return self.run("pull", "--quiet", "--signature-policy", policy, f"oci:layout:{tag}").split()[-1]

    def python(self, image: str, code: str) -> str:
        """What a few lines of Python print inside of an image."""
        return self.run("run", "--rm", *_HARDENED, "--entrypoint", "/usr/bin/python3", image, "-c", code)

    @contextmanager
    def serving(self, image: str, settings: Mapping[str, str], *, port: int, wait_s: float = 120.0) -> Iterator[str]:
        """Starts an image, waits until it is ready and yields the container's id; removes it afterwards."""
        options = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        container = self.run("run", "--detach", *_HARDENED, *options, image).split()[-1]
        try:
            self._until_ready(container, port, time.monotonic() + wait_s)
            yield container
        finally:
            self.run("rm", "--force", "--time", "0", container)

    def stop(self, container: str, *, grace_s: int = 30) -> int:
        """SIGTERM, and SIGKILL after ``grace_s``; returns the exit status of process 1."""
        self.run("stop", "--time", str(grace_s), container)
        return int(self.run("inspect", "--format", "{{.State.ExitCode}}", container))

    def run(self, *arguments: str) -> str:
        """Runs podman and returns what it printed.

        Raises:
            NotStarted: If it ends with an error.
        """
        storage = ["--root", str(self._home / "storage"), "--runroot", str(self._home / "run")]
        driver = ["--storage-driver", "overlay" if os.geteuid() == 0 else "vfs"]
        done = subprocess.run(
            ["podman", *storage, *driver, *arguments],  # noqa: S607
            cwd=self._home,
            env={**os.environ, "CONTAINERS_CONF": str(self._home / "containers.conf")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NotStarted(f"podman {arguments[0]} ended with status {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def _until_ready(self, container: str, port: int, end: float) -> None:
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
            if self.run("inspect", "--format", "{{.State.Running}}", container).strip() != "true":
                break
        raise NotStarted(f"The container is not ready. Its log:\n{self.run('logs', container)[-3000:]}")


@contextmanager
def podman(home: Path) -> Iterator[Podman]:
    """podman with a storage in ``home``; see :class:`Podman`."""
    engine = Podman(home)
    try:
        yield engine
    finally:
        engine.run("rmi", "--all", "--force")
        shutil.rmtree(home, ignore_errors=True)

# SPDX-License-Identifier: Apache-2.0
"""Runs images of OCI layouts by podman: by digest, as any user, with a storage that is gone afterwards.

The container gets what a deployment gives it (:mod:`registry_api.deployments.podman`): a root nobody can write to, no
capabilities, no new privileges, the host's network. Needs the Debian packages ``podman`` and ``runc``, and root.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from artifacts.oci.layout import Layout
from deploy.local.stack import NotStarted
from registry_api.deployments.podman.engine import Engine
from registry_api.deployments.podman.pulling import pull
from registry_api.deployments.podman.target import HARDENED


class Podman(Engine):
    """podman with a storage of its own, and what tests and tools ask of it.

    Args:
        home: New folder; removed with everything in it by :func:`podman`.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        lacks = self.missing()
        if lacks is not None:
            raise NotStarted(f"podman cannot be used: {lacks} Run deploy/local/apt.sh podman runc")

    def pull(self, layout: Path, tag: str) -> str:
        """Takes an image of an OCI layout; returns its name, which carries its digest."""
        found = Layout.open(layout).resolve(tag)
        if found is None:
            raise NotStarted(f"No image in {layout} has the name {tag!r}.")
        with self.turn():
            return pull(self, layout, found.digest)

    def python(self, image: str, code: str) -> str:
        """What a few lines of Python print inside of an image."""
        return self.run("run", "--rm", *HARDENED, "--entrypoint", "/usr/bin/python3", image, "-c", code)

    @contextmanager
    def serving(self, image: str, settings: Mapping[str, str], *, port: int, wait_s: float = 120.0) -> Iterator[str]:
        """Starts an image, waits until it is ready and yields the container's id; removes it afterwards."""
        options = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        container = self.run("run", "--detach", *HARDENED, *options, image).split()[-1]
        try:
            self._until_ready(container, port, time.monotonic() + wait_s)
            yield container
        finally:
            self.run("rm", "--force", "--time", "0", container)

    def stop(self, container: str, *, grace_s: int = 30) -> int:
        """SIGTERM, and SIGKILL after ``grace_s``; returns the exit status of process 1."""
        self.run("stop", "--time", str(grace_s), container)
        return int(self.run("inspect", "--format", "{{.State.ExitCode}}", container))

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
    started = Podman(home)
    try:
        yield started
    finally:
        with started.turn():
            started.clear()
        shutil.rmtree(home, ignore_errors=True)

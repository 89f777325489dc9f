# SPDX-License-Identifier: Apache-2.0
"""Calls podman, with a storage of its own that nothing else of this machine takes part in.

Rules. podman gets an explicit environment without any secret, and never a network: images come from OCI layouts only. What
changes the storage is done by one at a time (:meth:`Engine.turn`). An image stays as long as a container needs it; with the
last container every image and every mount is gone. After a boot nothing that podman noted of running containers counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import psutil

from artifacts.durable import write_atomically
from core.errors import ErrorCode, FuroshikiError, Unavailable
from registry_api.images.builders.running import tool_failed
from registry_api.images.builders.storage import PrivateStorage, unmount_below
from registry_api.jobs.process import plain_environment, wait_gone

_TOOLS: Final = ("podman", "runc")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LINGER_SECONDS: Final = 10.0  # for what podman does after a container's end
_GONE: Final = "gone-"  # names of folders that are being removed
VIEW: Final = "view-"  # names of folders that images are read through
_FULL: Final = "no space left on device"
_LIMITED: Final = frozenset({"cpu", "memory", "pids"})


class Engine:
    """podman with a storage in ``home``, which is made when it is needed first.

    Args:
        home: Folder of the storage; only for this.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._storage = PrivateStorage(self.home, lambda _line: None)
        self._store = self.home / "storage"
        self._notes = self.home / "run"  # what podman notes of running containers
        self._configured = False

    def missing(self) -> str | None:
        """Why podman cannot be used here, in a sentence; None if it can. Cheap."""
        lacks = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if lacks:
            return f"{' and '.join(lacks)} cannot be found (Debian packages {' '.join(_TOOLS)})."
        if os.geteuid() != 0:
            return "the worker does not run as root, which limits of containers and their storage need."
        return None

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of podman."""
        return plain_environment() | self._storage.environment

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else changes the storage inside the block.

        Raises:
            Unavailable: ``DEVICE_001`` if podman cannot be used here.
        """
        lacks = self.missing()
        if lacks is not None:
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, f"This machine cannot run images: {lacks}")
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._prepare()
            yield

    def run(self, *arguments: str, cwd: Path | None = None, marks: Mapping[str, str] | None = None) -> str:
        """Runs podman to its end; returns what it printed.

        Args:
            arguments: Command and arguments.
            cwd: Its working folder; None: the storage's.
            marks: More variables of its environment.

        Raises:
            Unavailable: ``STORE_004`` if the disk is full.
            JobError: ``JOB_002`` if it fails, with its last lines.
        """
        done = subprocess.run(  # noqa: S603 - no shell; every part is ours
            ["podman", *arguments],  # noqa: S607 - found on PATH, as builders are
            cwd=cwd or self.home,
            env={**self.environment, **(marks or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise _failed(arguments[0], done.returncode, done.stderr)
        return done.stdout

    def limits(self) -> frozenset[str]:
        """What containers can be kept from using too much of here: of "cpu", "memory" and "pids"."""
        return _LIMITED & frozenset(json.loads(self.run("info", "--format", "{{json .Host.CgroupControllers}}")) or ())

    def used(self) -> bool:
        """Whether there is anything: a container, an image, or the remains of one."""
        return self._store.exists() and self.missing() is None

    def containers(self) -> tuple[str, ...]:
        """Names of all containers, also of those that were half made when podman was killed."""
        if not self.used():
            return ()
        with self.turn():
            return self._containers()

    def inspect(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What podman says of containers, in one call; of one that is gone by now, and then of all, nothing."""
        if not names or not self.used():
            return []
        try:
            said = self.run("inspect", "--type", "container", *names)
        except FuroshikiError:
            return []
        found: list[dict[str, Any]] = json.loads(said)
        return found

    def remove(self, names: Sequence[str]) -> None:
        """Kills and removes containers, and images that none needs any more. Call it in a :meth:`turn`."""
        for name in names:
            with suppress(FuroshikiError):  # it does not run, or is half made
                self.run("kill", name)
            with suppress(FuroshikiError):  # half made: nothing watches over it
                _wait_for_monitor(self.run("inspect", "--type", "container", "--format", "{{.Id}}", name).strip())
            self.run("rm", "--force", "--ignore", "--time", "0", name)
        if self._containers():
            self.run("image", "prune", "--all", "--force")
        else:
            self.clear()

    def clear(self) -> None:
        """Removes the whole storage; nothing may run. Call it in a :meth:`turn`."""
        unmount_below(self.home)
        gone = Path(mkdtemp(prefix=_GONE, dir=self.home))
        for folder in (self._store, self._notes):
            with suppress(FileNotFoundError):
                folder.rename(gone / folder.name)
        shutil.rmtree(gone, ignore_errors=True)

    def _containers(self) -> tuple[str, ...]:
        return tuple(self.run("ps", "--all", "--external", "--format", "{{.Names}}").split())

    def _prepare(self) -> None:
        """Writes the configuration and removes leftovers, once; forgets what podman noted before this boot."""
        if self._configured:
            return
        noted, boot = self.home / "boot", _BOOT.read_bytes()
        for left in (*self.home.glob(f"{_GONE}*"), *self.home.glob(f"{VIEW}*")):
            shutil.rmtree(left, ignore_errors=True)
        if not noted.exists() or noted.read_bytes() != boot:
            shutil.rmtree(self._notes, ignore_errors=True)
            write_atomically(noted, boot, mode=0o600, replace=True)
        self._storage.configure()
        self._configured = True

    def policy(self) -> list[str]:
        """Arguments for commands that read images."""
        return self._storage.policy


def _failed(command: str, status: int, said: str) -> FuroshikiError:
    if _FULL in said:
        return Unavailable(
            ErrorCode.STORE_FULL,
            "The disk has no room to unpack the image. Free space, then try again.",
            log_context={"cause": said[-500:]},
        )
    return tool_failed(f"podman {command}", status, said)


def _wait_for_monitor(container: str) -> None:
    """Waits until what watched over a container has cleaned up after it: podman itself would start that again."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if container in process.cmdline():
                found.append(process)
    wait_gone(found, seconds=_LINGER_SECONDS)

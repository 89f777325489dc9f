# SPDX-License-Identifier: Apache-2.0
"""buildah and podman with a storage and a configuration of their own; in a ``with`` block gone with the build.

Nothing of this machine's images and container settings takes part, and nothing is left behind. The settings are those that
work everywhere: no cgroup of its own, the host's network, chroot isolation, runc; so also inside of a container
and without systemd.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from artifacts.durable import write_atomically
from registry_api.images.builders.interface import Tell
from registry_api.images.builders.running import Ended, run

TOOLS: Final = ("podman", "buildah")
_POLICY: Final = '{"default":[{"type":"insecureAcceptAnything"}]}'  # images are checked by digest, before and after
_CONTAINERS: Final = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{home}/run/libpod"
"""
_STORAGE: Final = """[storage]
driver = "{driver}"
graphroot = "{home}/storage"
runroot = "{home}/run"
"""


class PrivateStorage:
    """Use it in a ``with`` block.

    Args:
        home: New folder.
        tell: Told what the tools print.
    """

    def __init__(self, home: Path, tell: Tell) -> None:
        self._home = home.resolve()
        self._tell = tell

    @property
    def environment(self) -> dict[str, str]:
        """What the tools, or what starts them, must be started with."""
        return {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_CONF": str(self._home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._home / "storage.conf"),
            "TMPDIR": str(self._home),
        }

    @property
    def policy(self) -> list[str]:
        """Arguments for commands that read or write images."""
        return ["--signature-policy", str(self._home / "policy.json")]

    def layout(self, name: str, root: Path) -> str:
        """How tools name an OCI layout: by a link; they make an image name of its path, and refuse most paths as one."""
        (self._home / name).symlink_to(root.resolve())
        return f"oci:{name}"

    def configure(self) -> None:
        """Writes the configuration, in one step each: other tools may be at work in the same folder."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        driver = "overlay" if os.geteuid() == 0 else "vfs"
        for name, text in (
            ("policy.json", _POLICY),
            ("containers.conf", _CONTAINERS.format(home=self._home)),
            ("storage.conf", _STORAGE.format(driver=driver, home=self._home)),
        ):
            write_atomically(self._home / name, text.encode(), mode=0o600, replace=True)

    def __enter__(self) -> Self:
        self.configure()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tool = next((name for name in TOOLS if shutil.which(name)), None)
        if tool is not None:
            self.run(tool, "rmi", "--all", "--force")
        unmount_below(self._home)
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, *command: str) -> Ended:
        """Runs a tool to its end."""
        return run(command, what=" ".join(command[:2]), cwd=self._home, env=self.environment, tell=self._tell)


def unmount_below(folder: Path) -> None:
    """Takes away what buildah or podman mounted below ``folder``: a build that was killed leaves such mounts behind.

    To be called before the scratch folder of a build is removed, whoever removes it.
    """
    below = f"{folder.resolve()}/"
    mounted = [_unescaped(line.split(" ")[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in mounted if point.startswith(below)), reverse=True):
        run(["umount", "--lazy", point], what="umount")


def _unescaped(point: str) -> str:
    """A path as the kernel writes it in ``mountinfo``, where blanks and backslashes are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point)

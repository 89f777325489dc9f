# SPDX-License-Identifier: Apache-2.0
"""The target ``podman``: an image, run by digest as a container on this machine, on a free port of the loopback interface.

What a container gets: a root nobody can write to and a small ``/tmp``; no capabilities, no new privileges, the user 65532,
the host's network, limits; settings as variables, none of them a secret; the tenants' trust policies, read only.

It writes into the pipe of a supervisor, as a process does, so its log outlives the worker; and because the pipe stays open
as long as the container and its monitor live, so does the supervisor, though ``podman start`` itself ends at once.
(``podman start --attach`` now and then lost what a short container wrote, and noticed its end 20 s later.)

Containers are found by their names, which tell deployment and start: those that were half made when podman was killed have
a name and nothing else. Labels say the same for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, Unavailable
from registry_api.deployments.podman.comparing import difference
from registry_api.deployments.podman.confinement import confinement
from registry_api.deployments.podman.engine import Engine
from registry_api.deployments.podman.pulling import pull
from registry_api.deployments.supervised import LOOPBACK, Supervised, free_port, listens, marks_of, settings_of
from registry_api.deployments.target import DEPLOYMENT_VARIABLE, RUN_VARIABLE, Launch, Started
from registry_api.deployments.values import Limits
from registry_api.images.builders.interface import USER
from registry_api.jobs.process import end_by_variable, find_by_variable, wait_gone

PIDS: Final = 1024  # processes and threads of one container
TMP_BYTES: Final = 256 << 20  # of /tmp, which counts as memory
TRUST: Final = Path("/run/furoshiki/trust")  # in the container
HARDENED: Final = (
    *("--pull", "never", "--network", "host", "--http-proxy=false"),
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", f"/tmp:rw,nosuid,nodev,noexec,size={TMP_BYTES}"),  # noqa: S108
    *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--user", f"{USER}:{USER}"),
)
_PREFIX: Final = "furoshiki"
_LABEL: Final = "dev.furoshiki"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanOptions:
    """Where containers live and what each is told."""

    folder: Path  # <deployments>: whose containers these are
    home: Path  # for podman's storage
    trust_dir: Path  # <tenant>.json: whose signatures count, as it is now
    registry_url: str  # where callers' keys are checked
    grace_seconds: float = 10.0  # between SIGTERM and SIGKILL


class PodmanTarget:
    """Implements :class:`registry_api.deployments.target.Target`.

    Args:
        options: Where containers live and what each is told.
        choose_port: Gives a port that is probably free.
    """

    def __init__(self, options: PodmanOptions, *, choose_port: Callable[[], int] = free_port) -> None:
        self._options = options
        self._choose_port = choose_port
        self._engine = Engine(options.home)
        self._supervised = Supervised()

    def missing(self) -> str | None:
        """Why podman cannot be used here, in a sentence; None if it can. Cheap."""
        return self._engine.missing()

    def start(self, launch: Launch) -> Started:
        """Makes the container of ``launch.image`` and starts it under a supervisor that keeps its log.

        Raises:
            InvalidRequest: ``VALID_002`` if there is no image to run, ``IMAGE_003`` if it is for another architecture.
            Unavailable: ``DEVICE_001`` if podman, or a limit that was asked for, cannot be had here; ``STORE_004`` if the
                disk is full.
            NotFound: ``STORE_002`` if the layout does not hold the image.
            JobError: ``JOB_002`` if podman fails.
            OSError: The machine refuses another process.
        """
        if launch.image is None:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                "The target 'podman' runs images. Name an image.",
                details={"field": "image_id"},
            )
        port, name, marks = (
            self._choose_port(),
            _name(launch.deployment_id, launch.run),
            marks_of(launch, self._options.folder),
        )
        with self._engine.turn():
            try:
                limits = self._limits(launch.limits)
                image = pull(self._engine, launch.layout, launch.image, marks=marks)
                options = (*HARDENED, *limits, *self._told(launch, port), "--log-driver", "passthrough")
                self._engine.run("create", "--name", name, *options, image, marks=marks)
            except BaseException:
                self._engine.remove([name])
                raise
        environment = self._engine.environment | marks
        pid = self._supervised.start(launch, ["podman", "start", name], environment=environment)
        return Started(url=f"http://{LOOPBACK}:{port}", pid=pid)

    def alive(self, run: str, pid: int) -> bool:
        """Whether the supervisor exists: it ends with its container, however that ended."""
        return self._supervised.alive(run, pid)

    def answers(self, run: str, url: str) -> bool:
        """Whether a process in the container of this start listens at ``url``."""
        return listens(run, url)

    def runs(self) -> Mapping[str, str]:
        """Every start of this registry that a container here belongs to: deployment id by run."""
        return {run: deployment for deployment, run in self._names().values()}

    def differences(self, launches: Sequence[Launch]) -> Mapping[str, str]:
        """Image, command, who may call, user, rights and limits, asked in one call for all."""
        wanted = {_name(each.deployment_id, each.run): each for each in launches}
        found: dict[str, str] = {}
        for each in self._engine.inspect(list(wanted)):
            launch = wanted[each["Name"]]
            if each["State"]["Running"]:
                found[launch.run] = difference(each, confinement(each["State"]["Pid"]), launch)
        return {run: told for run, told in found.items() if told}

    def end_run(self, run: str, pid: int | None) -> None:  # noqa: ARG002 - of the port; names find more than a pid
        """Asks the container to end, waits, then kills and removes whatever is left of this start."""
        for name in [name for name, (_, found) in self._names().items() if found == run]:
            self._stop(name)
            wait_gone(list(find_by_variable(RUN_VARIABLE, run)), seconds=self._options.grace_seconds)
        end_by_variable(RUN_VARIABLE, run)
        self._remove(lambda _, found: found == run)

    def end_all(self, deployment_id: str) -> None:
        """Kills and removes everything of the deployment, whoever started it."""
        end_by_variable(DEPLOYMENT_VARIABLE, deployment_id)
        self._remove(lambda found, _: found == deployment_id)

    def _stop(self, name: str) -> None:
        with suppress(FuroshikiError):  # it never ran, or is half made: it is removed next
            self._engine.run("stop", "--ignore", "--time", str(round(self._options.grace_seconds)), name)

    def _remove(self, chosen: Callable[[str, str], bool]) -> None:
        names = [name for name, of in self._names().items() if chosen(*of)]
        if self._engine.used():
            with self._engine.turn():
                self._engine.remove(names)
        self._supervised.reap()

    def _names(self) -> dict[str, tuple[str, str]]:
        """Deployment and run of each container here, by its name; none where podman never ran."""
        found = [name.split(".") for name in self._engine.containers()]
        return {".".join(parts): (parts[1], parts[2]) for parts in found if parts[0] == _PREFIX and len(parts) == 3}

    def _limits(self, asked: Limits) -> list[str]:
        possible = self._engine.limits()
        wanted = {"cpu": asked.cpus, "memory": asked.memory_bytes}
        refused = [name for name, value in wanted.items() if value is not None and name not in possible]
        if refused:
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE,
                f"The control groups of this machine cannot limit what a container uses of: {', '.join(refused)}. "
                "Ask for no limit, or use another machine.",
            )
        options = [] if "pids" not in possible else ["--pids-limit", str(PIDS)]
        options += [] if asked.cpus is None else ["--cpus", str(asked.cpus)]
        return options + ([] if asked.memory_bytes is None else ["--memory", f"{asked.memory_bytes}b"])

    def _told(self, launch: Launch, port: int) -> list[str]:
        labels = {"deployment": launch.deployment_id, "run": launch.run, "image": str(launch.image)}
        settings = settings_of(launch, trust_dir=TRUST, registry_url=self._options.registry_url)
        settings |= {"BENTOML_HOST": LOOPBACK, "BENTOML_PORT": str(port), **marks_of(launch, self._options.folder)}
        return [
            *("--volume", f"{self._options.trust_dir.resolve()}:{TRUST}:ro"),
            *(part for name, value in labels.items() for part in ("--label", f"{_LABEL}.{name}={value}")),
            *(part for name, value in settings.items() for part in ("--env", f"{name}={value}")),
        ]


def _name(deployment_id: str, run: str) -> str:
    return f"{_PREFIX}.{deployment_id}.{run}"

# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL on a free loopback port, for tests and benchmarks.

What is committed survives :meth:`PostgreSQL.kill` (the kernel keeps what was written), but not a power cut: the server does
not wait for the disk. Nobody but this machine can reach it and it asks for no password; its roles are those of a real
installation: ``postgres`` is the superuser, ``furoshiki`` owns the tables, ``furoshiki_app`` is what the registry works as.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.stack import free_port

OWNER: Final = "furoshiki"
APPLICATION: Final = "furoshiki_app"

_SUPERUSER: Final = "postgres"
_BINARIES: Final = Path("/usr/lib/postgresql")
_OPTIONS: Final = (
    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
    *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
)


class NotInstalled(Exception):
    """PostgreSQL's programs are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresDatabase:
    """One database: URLs for SQLAlchemy."""

    name: str
    url: str  # as the application's role
    owner_url: str  # as the owner of its tables


class PostgreSQL:
    """A server that can be stopped, killed and started again on the same data.

    Args:
        data: Its data folder; owned by the user it runs as.
        port: A free loopback port.
        user: The system user to run as; None: the one of this process.
    """

    def __init__(self, data: Path, *, port: int, user: str | None) -> None:
        self.port: Final = port
        self.data: Final = data
        self.user: Final = user
        self._log = data.parent / "postgresql.log"

    @property
    def log(self) -> str:
        """What the server wrote."""
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed."""
        return (self.data / "postmaster.pid").exists()

    def dsn(self, database: str = "postgres", role: str = _SUPERUSER) -> str:
        """The address for psql, pg_dump and asyncpg."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def url(self, database: str = "postgres", role: str = _SUPERUSER) -> str:
        """The address for SQLAlchemy."""
        return f"postgresql+asyncpg://{role}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Makes the data folder, starts the server and makes the roles."""
        self._run("initdb", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-U", _SUPERUSER)
        self.start()
        self.sql(f"CREATE ROLE {OWNER} LOGIN; CREATE ROLE {APPLICATION} LOGIN")

    def start(self) -> None:
        """Starts the server, if it is not running, and returns when it answers."""
        if self.running:
            return
        options = " ".join((*_OPTIONS, "-c", f"port={self.port}"))
        self._run("pg_ctl", "-w", "-s", "-l", str(self._log), "-o", options, "start")

    def stop(self, *, immediate: bool = False) -> None:
        """Ends the server; ``immediate``: as a crash does, so that it recovers when it is started again."""
        self._run("pg_ctl", "-w", "-s", "-m", "immediate" if immediate else "fast", "stop")

    def kill(self) -> None:
        """SIGKILL for the server and every process it started, at once."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            os.kill(each, signal.SIGKILL)
        while any(Path(f"/proc/{each}/stat").exists() for each in (pid, *map(int, children))):
            time.sleep(0.01)  # they are not our children: nothing else tells that they are gone
        (self.data / "postmaster.pid").unlink()

    def sql(self, statements: str, *, database: str = "postgres") -> str:
        """Runs SQL as the superuser; what psql prints, columns separated by ``|``."""
        target = ("-d", self.dsn(database), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        command = [_program("psql"), *target, *(word for each in statements.split(";\n") for word in ("-c", each))]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def create(self, name: str, *, template: str = "template1") -> PostgresDatabase:
        """Makes a database that the owner's role owns, as a copy of ``template``."""
        self.sql(f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}"')
        return PostgresDatabase(name=name, url=self.url(name, APPLICATION), owner_url=self.url(name, OWNER))

    def drop(self, name: str) -> None:
        """Removes a database and ends whoever is connected to it."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, program: str, *words: str) -> None:
        command: Sequence[str] = (_program(program), "-D", str(self.data), *words)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self.user, group=self.user, cwd="/")


@contextmanager
def postgres(folder: Path) -> Iterator[PostgreSQL]:
    """A running server; it ends and its data goes with the block.

    Args:
        folder: Where its data lives. PostgreSQL refuses to run as root: then it runs as ``postgres``, in a temporary
            folder of that user, because it may not enter ours.

    Raises:
        NotInstalled: If PostgreSQL's programs are missing.
    """
    as_root = os.geteuid() == 0
    place = Path(tempfile.mkdtemp(prefix="furoshiki-postgresql-")) if as_root else folder
    place.mkdir(parents=True, exist_ok=True)
    if as_root:
        shutil.chown(place, _SUPERUSER, _SUPERUSER)
    server = PostgreSQL(place / "data", port=free_port(), user=_SUPERUSER if as_root else None)
    watch = _end_when_we_die(server.data, user=server.user)
    try:
        server.initialise()
        yield server
    finally:
        if server.running:
            server.stop(immediate=True)
        shutil.rmtree(place / "data", ignore_errors=True)
        if as_root:
            shutil.rmtree(place, ignore_errors=True)
        watch.communicate()


def _end_when_we_die(data: Path, *, user: str | None) -> subprocess.Popen[bytes]:
    """A process that waits for the end of its input, which comes with ours even if we are killed, and ends the server."""
    script = 'read -r _; [ ! -e "$2/postmaster.pid" ] || "$1" -D "$2" -s -m immediate stop; rm -rf "$2"'
    command = ["sh", "-c", script, "sh", _program("pg_ctl"), str(data)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, user=user, group=user, cwd="/")


def _program(name: str) -> str:
    """The newest installed version of a program of PostgreSQL."""
    installed = sorted(_BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed. `apt-get install postgresql` brings it.")
    return found

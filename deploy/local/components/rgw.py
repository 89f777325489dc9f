# SPDX-License-Identifier: Apache-2.0
"""A real Ceph object store on loopback: one monitor, one OSD in memory, one RADOS Gateway that speaks S3.

Needs the Debian packages ``ceph-mon``, ``ceph-osd`` and ``radosgw``. It takes about 3 s and 400 MB, keeps everything below
the given folder, and asks for signed requests, so credentials and signatures are really checked. The daemons are ended with
SIGKILL: a graceful stop takes up to two minutes and there is nothing to save. They also end when their parent dies.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import httpx
import obstore
from obstore.store import S3Store

from deploy.local.stack import free_port

READY_SECONDS: Final = 60.0
ACCESS_KEY: Final = "furoshiki-local"
SECRET_KEY: Final = "furoshiki-local-secret"  # noqa: S105 - of a store that lives in memory and on loopback
_PROGRAMS: Final = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
_PR_SET_PDEATHSIG: Final = 1
_CONFIGURATION: Final = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}/run
admin socket = {folder}/run/$cluster-$name.asok
log file = {folder}/log/$name.log
pid file = {folder}/run/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
mon_osd_min_in_ratio = 0
mon_pg_warn_min_per_osd = 0
mon_data_avail_crit = 1
mon_data_avail_warn = 2
ms bind ipv4 = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
paxos min wait = 0.01
paxos propose interval = 0.05
mon tick interval = 1
osd_heartbeat_interval = 1
[mon.a]
mon data = {folder}/mon/a
[osd]
osd data = {folder}/osd/0
osd objectstore = memstore
memstore device bytes = 4294967296
osd class dir = /usr/lib/x86_64-linux-gnu/rados-classes
[client.rgw]
ms_mon_client_mode = crc
auth_client_required = none
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{s3}
rgw dns name =
rgw enable usage log = false
rgw_enable_quota_threads = false
rgw_enable_lc_threads = false
rgw_enable_gc_threads = false
rgw_run_sync_thread = false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """A running S3 service; buckets are addressed path style."""

    endpoint: str  # "http://127.0.0.1:PORT"
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def make_bucket(self, name: str) -> None:
        """Makes an empty bucket."""
        address = obstore.sign(self.opened(name), "PUT", "", timedelta(seconds=60))
        httpx.put(address, timeout=30, trust_env=False).raise_for_status()

    def opened(self, bucket: str) -> S3Store:
        """A client of its own, to look inside a bucket."""
        return S3Store(
            bucket,
            config={
                "endpoint": self.endpoint,
                "region": self.region,
                "access_key_id": self.access_key,
                "secret_access_key": self.secret_key,
                "virtual_hosted_style_request": False,
            },
            client_options={"allow_http": True},
        )

    def environment(self, bucket: str, prefix: str = "") -> dict[str, str]:
        """The settings that make the registry keep its blobs in ``bucket``."""
        return {
            "FUROSHIKI_STORE__URL": f"s3://{bucket}/{prefix}",
            "FUROSHIKI_STORE__S3__ENDPOINT": self.endpoint,
            "FUROSHIKI_STORE__S3__REGION": self.region,
            "FUROSHIKI_STORE__S3__ACCESS_KEY": self.access_key,
            "FUROSHIKI_STORE__S3__SECRET_KEY": self.secret_key,
        }


@contextmanager
def rgw(folder: Path) -> Iterator[ObjectStore]:
    """Runs the store in ``folder``, which is made anew.

    Raises:
        RuntimeError: If a program is missing or a daemon does not come up; the message names its log.
    """
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"missing {', '.join(missing)}; install the packages ceph-mon, ceph-osd and radosgw")
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(folder, daemons)
    finally:
        for daemon in reversed(daemons):
            daemon.kill()
            daemon.wait()


def _start(folder: Path, daemons: list[subprocess.Popen[bytes]]) -> ObjectStore:
    fsid, s3, mon_v2, mon_v1 = str(uuid.uuid4()), *_ports(3)
    _make_folders(folder)
    configuration = folder / "ceph.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, fsid=fsid, s3=s3, mon_v2=mon_v2, mon_v1=mon_v1), encoding="ascii"
    )
    environment = {**os.environ, "CEPH_CONF": str(configuration)}

    def call(*command: str) -> None:
        _call(command, folder, environment)

    def daemon(*command: str) -> None:
        daemons.append(_spawn(command, folder, environment))

    address = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
    call("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, f"{folder}/monmap")
    call("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap")
    daemon("ceph-mon", "-f", "-i", "a")
    osd = str(uuid.uuid4())
    _until(lambda: _succeeds(("timeout", "2", "ceph", "osd", "new", osd), environment), "ceph-mon", folder)
    call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
    daemon("ceph-osd", "-f", "-i", "0")
    user = ("--uid=furoshiki", "--display-name=furoshiki", f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
    call("radosgw-admin", "-n", "client.rgw", "user", "create", *user)
    daemon("radosgw", "-n", "client.rgw", "-f")
    endpoint = f"http://127.0.0.1:{s3}"
    _until(lambda: _answers(endpoint), "radosgw", folder)
    return ObjectStore(endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)


def _make_folders(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("mon", "osd/0", "run", "log", "rgw"):
        (folder / name).mkdir(parents=True)


def _ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        if (port := free_port()) not in found:
            found.append(port)
    return found


def _call(command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    with (folder / "log" / f"{command[0]}.once").open("ab") as log:
        status = subprocess.run(
            command, env=environment, stdout=log, stderr=log, timeout=READY_SECONDS, check=False
        ).returncode
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with status {status}; see {log.name}")


def _succeeds(command: Sequence[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def _spawn(command: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log" / f"{command[0]}.out").open("wb") as log:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(endpoint: str) -> bool:
    with suppress(URLError, OSError):
        try:
            urlopen(endpoint, timeout=2).close()  # noqa: S310 - our own loopback address
        except HTTPError as error:
            error.close()
        return True
    return False


def _until(done: Callable[[], bool], program: str, folder: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while not done():
        if time.monotonic() > end:
            raise RuntimeError(f"{program} did not come up within {READY_SECONDS:g} s; see {folder}/log")
        time.sleep(0.05)

# SPDX-License-Identifier: Apache-2.0
"""A tiny image on a real base that answers what it was given, and the target ``podman`` in a storage of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from artifacts.digest import Digest
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG
from deploy.local.stack import free_port
from registry_api.deployments.logs import last_lines
from registry_api.deployments.podman.engine import Engine
from registry_api.deployments.podman.target import PodmanOptions, PodmanTarget
from registry_api.deployments.target import Launch, Started
from registry_api.deployments.values import UNLIMITED, AuthMode, Limits
from registry_api.images.builders.bases.making import make_base
from registry_api.images.builders.bases.recipe import read_recipe
from registry_api.images.builders.configuration import configuration, layers_of
from registry_api.images.builders.dependencies import copy_blob
from registry_api.images.builders.interface import Base, BuiltLayer
from registry_api.images.builders.layer import Entry, write_layer
from tests.integration.registry_api.deployments.podman.waiting import until

_SERVE = b"""
import http.server, json, os, signal, sys

TRUST = os.environ["FUROSHIKI_TRUST__DIR"]
FILES = ("memory/memory.limit_in_bytes", "memory.max", "cpu/cpu.cfs_quota_us", "cpu.max", "pids/pids.max", "pids.max")

def writable(folder):
    try:
        open(folder + "/new", "w").close()
        return True
    except OSError:
        return False

def seen():
    limits = {}
    for name in FILES:
        try:
            limits[name.rpartition("/")[2]] = open("/sys/fs/cgroup/" + name).read().strip()
        except OSError:
            pass
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    return {
        "environment": dict(os.environ), "limits": limits, "user": os.getuid(), "trust": os.listdir(TRUST),
        "writable": [folder for folder in ("/", "/tmp", "/run", "/home", TRUST) if writable(folder)],
        "capabilities": status["CapEff"].strip(), "privileges": status["NoNewPrivs"].strip(),
    }

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(seen()).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

def end(*_):
    print("asked to end", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("starting", flush=True)
server = http.server.HTTPServer((os.environ["BENTOML_HOST"], int(os.environ["BENTOML_PORT"])), Answer)
server.serve_forever()
"""


@dataclass(frozen=True, kw_only=True)
class Images:
    """A layout with one image for this machine and one for another."""

    layout: Layout
    here: Digest
    elsewhere: Digest


def _image(layout: Layout, base: Base, platform: Platform) -> Digest:
    manifest = base.layout.manifest(base.image)
    copy_blob(manifest.layers[0], base.layout, layout)
    layers: list[BuiltLayer] = [
        *layers_of(base.layout, manifest, name="base"),
        write_layer(layout, "code", iter([Entry(path="serve.py", content=_SERVE)])),
    ]
    start = ("/usr/bin/python3", "/serve.py")
    config = configuration(platform, layers, created=None, labels={}, environment={}, start=start)
    written = layout.put_bytes(config, media_type=IMAGE_CONFIG)
    return layout.put_manifest(
        ImageManifest(config=written, layers=tuple(layer.blob for layer in layers)), platform=platform
    ).digest


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Made of the base image for processors."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # made once by whoever comes first
    base = make_base(read_recipe("cpu"), shared / "bases", architecture="amd64", tell=print)
    layout = Layout.create(tmp_path_factory.mktemp("tiny") / "layout")
    here, elsewhere = (_image(layout, base, Platform(architecture=each)) for each in ("amd64", "arm64"))
    return Images(layout=layout, here=here, elsewhere=elsewhere)


@dataclass(kw_only=True)
class Room:
    """Where containers of one test live."""

    home: Path
    images: Images
    ports: Callable[[], int] = free_port
    shop: str = field(default_factory=lambda: uuid4().hex)  # id of a deployment; no other test has it

    def target(self, **fields: Any) -> PodmanTarget:
        """As a worker has it; another one on the same storage is what follows a worker that was killed."""
        trust = self.home / "trust"
        trust.mkdir(parents=True, exist_ok=True)
        (trust / "acme.json").write_text("{}")
        options = PodmanOptions(
            folder=self.home / "deployments",
            home=self.home / "podman",
            trust_dir=trust,
            registry_url="http://127.0.0.1:9",
            **{"grace_seconds": 10.0, **fields},
        )
        return PodmanTarget(options, choose_port=self.ports)

    def launch(self, *, image: Digest | None = None, limits: Limits = UNLIMITED) -> Launch:
        """One more start of the deployment."""
        run = uuid4().hex
        folder = self.home / "deployments" / self.shop / run
        folder.mkdir(parents=True)
        (folder / "image").symlink_to(self.images.layout.root)
        digest = self.images.here if image is None else image
        return Launch(deployment_id=self.shop, run=run, folder=folder, auth=AuthMode.OPEN, image=digest, limits=limits)

    @property
    def engine(self) -> Engine:
        """For looking from outside."""
        return Engine(self.home / "podman")


@pytest.fixture
def room(tmp_path: Path, images: Images) -> Iterator[Room]:
    """Nothing of it runs, is kept or is mounted after the test."""
    room = Room(home=tmp_path / "room", images=images)
    yield room
    room.target().end_all(room.shop)
    assert not (room.home / "podman" / "storage").exists()
    assert str(room.home) not in Path("/proc/self/mountinfo").read_text()
    for process in psutil.process_iter(["cmdline"]):
        assert str(room.home) not in " ".join(process.info["cmdline"] or ()), process


def answer(target: PodmanTarget, launch: Launch, started: Started) -> dict[str, Any]:
    """What the container says once it answers."""
    until(lambda: target.answers(launch.run, started.url) or not target.alive(launch.run, started.pid))
    assert target.alive(launch.run, started.pid), last_lines(launch.logs)
    found: dict[str, Any] = httpx.get(started.url, trust_env=False).json()
    return found

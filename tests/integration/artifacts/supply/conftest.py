# SPDX-License-Identifier: Apache-2.0
"""Signed images, real registries to push them to, and the commands as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from artifacts.supply.testing import Described, make_image
from deploy.local.components.docker_registry import DockerRegistry, docker_registry


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one run of a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with ``--json``."""
        assert self.status == 0, self.err
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The code of its refusal."""
        assert (self.status, self.out) == (3, ""), self.out + self.err
        return str(json.loads(self.err.splitlines()[-1])["code"])


def run(module: str, *arguments: str | Path, stdin: str = "", **environment: str) -> Ran:
    """Runs ``python -m artifacts.<module>``; nobody's stored credentials are seen."""
    done = subprocess.run(
        started(module, *arguments), env=alone(**environment), input=stdin, capture_output=True, text=True, check=False
    )
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)


async def ran(module: str, *arguments: str | Path) -> Ran:
    """As :func:`run`, while the test's own tasks go on."""
    return await asyncio.to_thread(run, module, *arguments)


def started(module: str, *arguments: str | Path) -> list[str]:
    """What to start."""
    return [sys.executable, "-m", f"artifacts.{module}", *map(str, arguments)]


def alone(**environment: str) -> dict[str, str]:
    """This environment without anybody's login."""
    hidden = ("REGISTRY_AUTH_FILE", "FUROSHIKI_OCI_PASSWORD")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "DOCKER_CONFIG": "/nonexistent", **environment}


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Plain HTTP, no login."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """TLS and HTTP Basic."""
    with docker_registry(tmp_path_factory.mktemp("guarded"), basic=True, tls=True) as server:
        yield server


@pytest.fixture
def described(tmp_path: Path) -> Described:
    """A signed image of ``acme/digits@3``, whose model was converted."""
    return make_image(tmp_path / "made", converted=True)


@pytest.fixture
def policy(tmp_path: Path, described: Described) -> Path:
    """The file of the policy that trusts its signer."""
    path = tmp_path / "trust.json"
    path.write_bytes(described.policy.to_bytes())
    return path

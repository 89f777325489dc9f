# SPDX-License-Identifier: Apache-2.0
"""Clients that push and promote while something is broken, and what must hold of what they were told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from furoshiki import Client, FuroshikiError, Retry, verify
from tests.integration.faults.forked import ForkedRegistry
from tests.integration.registry_api.rest import tiny_onnx

DEVELOPMENT, STAGING, PRODUCTION = "DEVELOPMENT", "STAGING", "PRODUCTION"
ONCE: Final = Retry(attempts=1)
_FILLING: Final = bytes(range(256)) * 4096  # 1 MiB


class Clients:
    """Threads that push and promote; they remember what they were told.

    Args:
        registry: That they talk to.
        folder: For what they push.
        retry: How often they try before they give up.
    """

    def __init__(self, registry: ForkedRegistry, folder: Path, *, retry: Retry) -> None:
        self._registry = registry
        self._folder = folder
        self._retry = retry
        self._ended = threading.Event()
        self._numbers = itertools.count(1)
        folder.mkdir()
        self.notes: list[str] = []  # one per attempt to push; each is in the version's signed metadata
        self.pushed: dict[int, str] = {}  # version -> note, as answered
        self.promoted: list[int] = []  # versions, as answered
        self.told_to_repeat = 0
        self.failed: list[Exception] = []  # what no repeating helps against

    def work_while(self, broken: Callable[[], None]) -> None:
        """Works while ``broken`` runs, and goes on after what may be repeated."""
        self._ended.clear()
        threads = [threading.Thread(target=work) for work in (self._push, self._push, self._promote)]
        for thread in threads:
            thread.start()
        try:
            broken()
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def client(self) -> Client:
        return Client(self._registry.url, api_key=self._registry.admin_key, retry=self._retry, timeout=30)

    def push(self, client: Client) -> None:
        """Pushes one version, of bytes and with a note of its own."""
        note = str(next(self._numbers))
        folder = self._folder / note
        folder.mkdir()
        (folder / "model.onnx").write_bytes(tiny_onnx())
        (folder / "filling.bin").write_bytes(note.encode() + _FILLING)
        self.notes.append(note)
        self.pushed[client.models.push("digits", folder, metadata={"note": note}).version] = note

    def _push(self) -> None:
        with self.client() as client:
            while not self._ended.is_set():
                with self._noted():
                    self.push(client)

    def _promote(self) -> None:
        with self.client() as client:
            while not self._ended.wait(0.01):
                with self._noted():
                    self._promote_the_newest(client)

    def _promote_the_newest(self, client: Client) -> None:
        for version in list(client.versions.list("digits"))[:3]:
            if version.stage == PRODUCTION:
                continue
            for stage in (STAGING, PRODUCTION):
                if version.stage != stage:
                    client.versions.stage("digits", version.version, stage, reason="test")
            self.promoted.append(version.version)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except FuroshikiError as error:
            if error.retryable:
                self.told_to_repeat += 1
                self._ended.wait(0.1)
            else:
                self.failed.append(error)
                self._ended.set()


def check(client: Client, clients: Clients, folder: Path, *, every: bool) -> None:
    """Everything that was answered is there, nothing is there twice, what is there is whole."""
    versions = {version.version: version for version in client.versions.list("digits")}
    assert sorted(versions) == list(range(1, len(versions) + 1)), "numbers have a gap"
    notes = [version.metadata["note"] for version in versions.values()]
    assert len(set(notes)) == len(notes), "a push was registered twice"
    assert set(notes) <= set(clients.notes), "a version nobody pushed"
    for number, note in clients.pushed.items():
        assert versions[number].metadata["note"] == note, "a push that was answered is lost"
    stages = {number: version.stage for number, version in versions.items()}
    production = [number for number, stage in stages.items() if stage == PRODUCTION]
    assert len(production) <= 1, "two versions in production"
    assert client.models.get("digits").production_version == (production[0] if production else None)
    latest: dict[int, str] = {}
    moves = list(client.models.history("digits"))
    for move in moves:
        latest.setdefault(move.version, move.to_stage)
    assert latest == {number: stage for number, stage in stages.items() if stage != DEVELOPMENT}
    entered = {move.version for move in moves if move.to_stage == PRODUCTION}
    assert set(clients.promoted) <= entered, "a promotion that was answered is lost"
    trust = client.trust()
    for number in versions if every else list(versions)[:1]:
        bundle = client.versions.download("digits", number, folder / f"out-{number}-{time.monotonic_ns()}")
        assert verify(bundle, trust, model="digits", version=number, kind="model").digest == versions[number].digest

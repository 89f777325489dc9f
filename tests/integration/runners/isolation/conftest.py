# SPDX-License-Identifier: Apache-2.0
"""Models in processes of their own, loaded the way a service loads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest
import pytest_asyncio

from artifacts.source import MemorySource
from artifacts.testing import make_bundle
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.cache import LoadedModel
from runners.interface import RunnerOptions
from runners.isolation.handle import IsolatedHandle
from runners.isolation.options import IsolationOptions
from runners.remote.limits import WireLimits
from tests.integration.runners.isolation.crashing import SIGNATURE

PLUGIN = Path(__file__).with_name("crashing.py")
Load: TypeAlias = Callable[..., Awaitable[IsolatedHandle]]


def install(folder: Path) -> Path:
    """Makes the crashing runner a plugin of whoever has ``folder`` on its path."""
    metadata = folder / "crashing_runner-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "crashing_runner.py").write_text(PLUGIN.read_text())
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing-runner\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[furoshiki.runners]\ncrashing = crashing_runner:CrashingPlugin\n")
    return folder


async def load_crashing(
    what: bytes = b"", *, isolation: IsolationOptions, max_rows: int = 64, instances: int = 1, **fields: Any
) -> LoadedModel:
    """Loads a model of the crashing runner that does ``what`` while it is loaded; ``fields`` are the manifest's."""
    defaults = {"format": "crashing", "variant": "crashing-fp32/cpu", "signature": SIGNATURE}
    made = make_bundle({"model.txt": what or b"fine"}, **{**defaults, **fields})
    loader = ModelLoader(
        clock=made.clock,
        options=RunnerOptions(instances=instances),
        limits=BatchLimits(max_rows=max_rows),
        isolation=isolation,
    )
    return await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)


def model_processes() -> list[int]:
    """Pids of the processes of models that this process started."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "runners.isolation" in child.cmdline():
                found.append(child.pid)
    return found


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crashing runner, for this test's processes."""
    monkeypatch.syspath_prepend(str(install(tmp_path / "site")))


@pytest_asyncio.fixture
async def load(plugin: None) -> AsyncIterator[Load]:
    """Loads models of the crashing runner; they are closed at the end of the test."""
    handles: list[IsolatedHandle] = []

    async def loading(what: bytes = b"", **fields: Any) -> IsolatedHandle:
        options = {"silence_s": fields.pop("silence_s", 2.0)}
        bounds = {key: fields.pop(key) for key in ("start_s", "hang_s", "memory_bytes") if key in fields}
        isolation = IsolationOptions(mode="process", wire=WireLimits(**options), **bounds)
        handle = (await load_crashing(what, isolation=isolation, **fields)).handle
        assert isinstance(handle, IsolatedHandle)
        handles.append(handle)
        return handle

    yield loading
    for handle in handles:
        await handle.close()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every process a test started has ended with it."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before

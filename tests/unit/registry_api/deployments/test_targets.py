# SPDX-License-Identifier: Apache-2.0
"""A worker says which targets it has, and why not the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ErrorCode, Unavailable
from registry_api.deployments.process import ProcessOptions, ProcessTarget
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import TargetKind

PROCESS = ProcessTarget(ProcessOptions(folder=Path("d"), trust_dir=Path("t"), registry_url="http://127.0.0.1:1"))
TARGETS = Targets(present={TargetKind.PROCESS: PROCESS}, absent={TargetKind.PODMAN: "podman cannot be found."})


def test_a_target_that_is_here_is_given() -> None:
    """What the machine has is used."""
    assert TARGETS.of(TargetKind.PROCESS) is PROCESS


def test_a_target_that_is_not_here_is_refused_with_the_reason() -> None:
    """DEVICE_001 names target and reason; another worker may have it, so it may be tried again."""
    with pytest.raises(Unavailable, match=r"Target podman .* on this worker: podman cannot be found\.") as caught:
        TARGETS.of(TargetKind.PODMAN)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    assert caught.value.retryable


def test_nothing_of_a_registry_runs_where_nothing_was_started(tmp_path: Path) -> None:
    """Processes of other folders are not this registry's."""
    options = ProcessOptions(folder=tmp_path, trust_dir=tmp_path, registry_url="http://127.0.0.1:1")
    assert ProcessTarget(options).runs() == {}

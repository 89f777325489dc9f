# SPDX-License-Identifier: Apache-2.0
"""What the process of a model is told, and what not."""

from __future__ import annotations

import os
import sys

import pytest

from deploy.local.stack import ROOT
from runners.isolation.environment import environment


@pytest.mark.parametrize(
    "name",
    [
        "FUROSHIKI_VAULT__TOKEN",
        "FUROSHIKI_REGISTRY__API_KEY_FILE",
        "AWS_SECRET_ACCESS_KEY",
        "BENTOML_RUNNER_MAP",
        "PROMETHEUS_MULTIPROC_DIR",
        "HOME",
        "SSH_AUTH_SOCK",
    ],
)
def test_nothing_of_the_service_is_passed_on(name: str) -> None:
    """Secrets, addresses and folders of the service stay with the service."""
    assert name not in environment({name: "secret"})


@pytest.mark.parametrize(
    "name", ["PATH", "LC_ALL", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "FUROSHIKI_DELEGATE_GPU"]
)
def test_what_runtimes_need_is_passed_on(name: str) -> None:
    """Variables that choose devices, threads and libraries have the value they have here."""
    assert environment({name: "value"})[name] == "value"


def test_the_same_modules_are_found() -> None:
    """This tree and everything this process finds modules in, in that order."""
    entries = environment({})["PYTHONPATH"].split(os.pathsep)
    assert entries[0] == str(ROOT)
    assert [entry for entry in sys.path if entry and entry != str(ROOT)] == entries[1:]

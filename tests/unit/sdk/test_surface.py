# SPDX-License-Identifier: Apache-2.0
"""The package's surface is exact and explained."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import furoshiki
from furoshiki import AsyncClient, Client
from furoshiki.resource import Listing, Operation, Resource
from furoshiki.testing import FakeService

RESOURCES = (
    "aliases",
    "approvals",
    "audit",
    "builds",
    "calibrations",
    "conversions",
    "deployments",
    "gates",
    "images",
    "inference",
    "jobs",
    "keys",
    "models",
    "requests",
    "signing",
    "stages",
    "tenants",
    "tokens",
    "tunings",
    "usage",
    "variants",
    "versions",
    "webhooks",
)


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` is sorted and names exactly the public names that are not submodules."""
    public = {
        name
        for name, value in vars(furoshiki).items()
        if (not name.startswith("_") and not inspect.ismodule(value)) or name == "__version__"
    }
    assert furoshiki.__all__ == sorted(furoshiki.__all__)
    assert set(furoshiki.__all__) == public


def test_every_public_name_is_explained() -> None:
    """Every public class and function has a docstring."""
    silent = [name for name in furoshiki.__all__ if name != "__version__" and not getattr(furoshiki, name).__doc__]
    assert silent == []


def test_both_clients_offer_the_same() -> None:
    """Whatever the blocking client has, the awaitable one has under the same name."""
    sync, awaitable = Client(transport=FakeService()), AsyncClient(transport=FakeService())
    names = {name for name in dir(sync) if not name.startswith("_")}
    assert names == {name for name in dir(awaitable) if not name.startswith("_")}
    assert names == {*RESOURCES, "close", "infer", "trust", "whoami"}


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_operation_is_explained(resource: str) -> None:
    """Every operation shows its own signature and docstring, whichever client it is asked of."""
    client = Client(transport=FakeService())
    made: Resource[object] = getattr(client, resource)  # type: ignore[type-var]
    operations = {name: value for name, value in vars(type(made)).items() if isinstance(value, Operation | Listing)}
    assert operations
    for name in operations:
        bound = getattr(made, name)
        assert bound.__doc__
        assert bound.__name__ == name


def test_importing_the_package_is_light() -> None:
    """Importing the SDK loads neither a server package, nor a model runtime."""
    heavy = ["core", "artifacts", "runners", "services", "registry_api", "bentoml", "onnxruntime"]
    code = f"import sys, furoshiki; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry, empty or with versions of one model."""

from __future__ import annotations

import pytest

from tests.integration.registry_api.rest import Api, api, tiny_onnx

__all__ = ["api", "digits"]


@pytest.fixture
async def digits(api: Api) -> Api:
    """A registry with three versions of one model."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in range(3):
        await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"%d" % seed})
    return api

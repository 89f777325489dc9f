# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder write requests with binary tensors, and read answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np

ROUTE = "/v2/models/fake/infer"
ROWS = np.array([[1.5, 2], [3, -4]], dtype="<f4")


def tensor(**changes: Any) -> dict[str, Any]:
    """The input ``x`` in binary form, with changes; a change to None removes the field."""
    fields = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}, **changes}
    return {name: value for name, value in fields.items() if value is not None}


async def send(
    client: httpx.AsyncClient, *tensors: dict[str, Any], tail: bytes = b"", length: str | None = None, **extra: Any
) -> httpx.Response:
    """Sends JSON and a binary tail; ``length`` replaces the true header length."""
    head = json.dumps({"inputs": list(tensors), **extra}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)) if length is None else length}
    return await client.post(ROUTE, content=head + tail, headers=headers)


def binary_outputs(response: httpx.Response) -> tuple[dict[str, Any], bytes]:
    size = int(response.headers["inference-header-content-length"])
    return json.loads(response.content[:size]), response.content[size:]

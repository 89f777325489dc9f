# SPDX-License-Identifier: Apache-2.0
"""What is asked: held-out rows with the labels scikit-learn gives them, or random tensors for a service that already runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import numpy as np

from core.tensors import Array, dtype_from_oip
from deploy.local.train import INPUT, Trained
from loadtests.locust.plan import Case, Target, Tensor

_CASES: Final = 12  # different requests to one model
_MOST_ROWS: Final = 4


def known(model: Trained, *, tenant: str, key: str) -> Target:
    """Requests of one to four held-out rows; the labels must be scikit-learn's."""
    cases, first = [], 0
    for number in range(_CASES):
        rows = slice(first, first + 1 + number % _MOST_ROWS)
        first = rows.stop
        inputs = {INPUT: Tensor.of(model.inputs[rows], "FP32")}
        cases.append(Case(inputs=inputs, expected={"label": Tensor.of(model.predicted[rows], "INT64")}))
    return Target(tenant=tenant, model=model.name, key=key, cases=cases)


def discovered(host: str, model: str, *, tenant: str, key: str) -> Target:
    """Random requests that fit the model's metadata; the first answer is what later ones must equal.

    Raises:
        httpx.HTTPStatusError: If the service does not answer for this model and key.
    """
    random = np.random.default_rng(0)
    with httpx.Client(base_url=host, headers={"X-API-Key": key}, timeout=60) as client:
        metadata = _asked(client.get(f"/v2/models/{model}"))
        cases = []
        for _ in range(_CASES):
            inputs = {spec["name"]: _tensor(spec, random) for spec in metadata["inputs"]}
            body = {"inputs": [_wire(name, tensor) for name, tensor in inputs.items()]}
            outputs = _asked(client.post(f"/v2/models/{model}/infer", json=body))["outputs"]
            cases.append(Case(inputs=inputs, expected={output["name"]: _read(output) for output in outputs}))
    return Target(tenant=tenant, model=model, key=key, cases=cases)


def _asked(response: httpx.Response) -> Any:
    return response.raise_for_status().json()


def _tensor(spec: Mapping[str, Any], random: np.random.Generator) -> Tensor:
    shape = tuple(1 if size < 0 else size for size in spec["shape"])
    datatype = spec["datatype"]
    if datatype == "BYTES":
        return Tensor(datatype=datatype, shape=shape, data=["load"] * int(np.prod(shape)))
    return Tensor.of(_values(shape, random).astype(dtype_from_oip(datatype).numpy), datatype)


def _values(shape: Sequence[int], random: np.random.Generator) -> Array:
    """Small whole numbers: any numeric datatype holds them, and most vocabularies do."""
    return random.integers(0, 2, size=shape)


def _wire(name: str, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.data}


def _read(output: Mapping[str, Any]) -> Tensor:
    return Tensor(datatype=output["datatype"], shape=tuple(output["shape"]), data=output["data"])

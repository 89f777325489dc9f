# SPDX-License-Identifier: Apache-2.0
"""What a suite is told of the running service, and what its models compute.

* ``digits``: ``X`` FP32 [-1, 64] to ``label`` INT64 [-1] and ``probabilities`` FP32 [-1, 10]; versions 1 and 2.
* ``spare``: the same, for loading and unloading.
* ``kinds``: per fixed-size datatype a tensor ``in_<datatype>`` [-1, 3] to ``out_<datatype>``, unchanged.
* ``words``: ``text`` BYTES [-1, 2] to ``same``, unchanged, and ``twice``, each text after itself.
* ``busy``: ``x`` FP32 [-1, 2], ``loops`` and ``pick`` INT64 [-1, 1] to ``y``, twice ``x``, after as long as ``loops`` says.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FACTS_FILE: Final = "FUROSHIKI_CLIENT_FACTS"  # environment variable that names the file

KINDS: Final[dict[str, npt.NDArray[Any]]] = {
    "BOOL": np.array([[True, False, True]]),
    "UINT8": np.array([[0, 1, 255]], dtype=np.uint8),
    "UINT16": np.array([[0, 1, 65_535]], dtype=np.uint16),
    "UINT32": np.array([[0, 1, 2**32 - 1]], dtype=np.uint32),
    "UINT64": np.array([[0, 1, 2**64 - 1]], dtype=np.uint64),
    "INT8": np.array([[-128, 0, 127]], dtype=np.int8),
    "INT16": np.array([[-32_768, 0, 32_767]], dtype=np.int16),
    "INT32": np.array([[-(2**31), 0, 2**31 - 1]], dtype=np.int32),
    "INT64": np.array([[-(2**63), 0, 2**63 - 1]], dtype=np.int64),
    "FP16": np.array([[-1.5, 0, 65_504]], dtype=np.float16),
    "FP32": np.array([[-1.5, 1e-45, 3.4e38]], dtype=np.float32),
    "FP64": np.array([[-1.5, 5e-324, 1.7e308]], dtype=np.float64),
}
WORDS: Final = np.array([["rice", ""], ["お弁当", "a\tb"]], dtype=object)  # text, with an empty one and more than ASCII
TWICE: Final = WORDS + WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The running service."""

    http: str  # host:port
    grpc: str  # host:port
    tenant: str
    key: str
    other_key: str  # of a tenant that has no model
    rows: npt.NDArray[np.float32]  # inputs of digits
    labels: npt.NDArray[np.int64]  # what scikit-learn predicts for them
    second: int  # loops of busy that take about a second

    @property
    def headers(self) -> dict[str, str]:
        """The tenant's credential; a new dict each time, because clients write into it."""
        return {"X-API-Key": self.key}

    @property
    def metadata(self) -> dict[str, str]:
        """The same for gRPC, whose names are in lower case."""
        return {"x-api-key": self.key}

    def write(self, file: Path) -> None:
        """Writes what :func:`service` reads."""
        plain = {name: getattr(self, name) for name in ("http", "grpc", "tenant", "key", "other_key", "second")}
        file.write_text(json.dumps({**plain, "rows": self.rows.tolist(), "labels": self.labels.tolist()}))


def service() -> Service:
    """The service named by the environment."""
    facts = json.loads(Path(os.environ[FACTS_FILE]).read_text())
    facts["rows"] = np.array(facts["rows"], dtype=np.float32)
    facts["labels"] = np.array(facts["labels"], dtype=np.int64)
    return Service(**facts)


def busy_for(client: Any, seconds: float, *, second: int) -> list[Any]:
    """The inputs of one row to busy.

    Args:
        client: The module whose ``InferInput`` is wanted.
        seconds: How long it shall take, about.
        second: Loops that take a second.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "x": np.array([[1, 2]], dtype=np.float32),
        "loops": np.array([[int(seconds * second)]], dtype=np.int64),
        "pick": np.zeros((1, 1), dtype=np.int64),
    }
    tensors = []
    for name, array in arrays.items():
        tensors.append(client.InferInput(name, list(array.shape), "FP32" if name == "x" else "INT64"))
        tensors[-1].set_data_from_numpy(array)
    return tensors


def region_key(tenant: str) -> str:
    """A key of shared memory that nobody else uses; a service of several tenants wants their name in front."""
    return f"/{tenant}~{uuid.uuid4().hex}"

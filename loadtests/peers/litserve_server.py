# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.peers.litserve_server PORT``: LitServe with its batching."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import litserve
import numpy as np
import numpy.typing as npt

from loadtests.peers.session import PeerModel


class Api(litserve.LitAPI):
    """The hooks LitServe calls, in this order, for a batch."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self.model = PeerModel()

    # an annotation would make LitServe expect the request in that form; without one it parses the JSON
    def decode_request(self, request, **_: Any) -> npt.NDArray[np.generic]:  # type: ignore[no-untyped-def]
        return np.asarray(request["x"], self.model.dtype)

    def batch(self, inputs: Sequence[npt.NDArray[np.generic]]) -> Sequence[npt.NDArray[np.generic]]:
        return inputs

    def predict(self, x: Sequence[npt.NDArray[np.generic]], **_: Any) -> npt.NDArray[np.float32]:
        return self.model.run_all(x)

    def unbatch(self, output: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        return list(output)

    def encode_response(self, output: npt.NDArray[np.float32], **_: Any) -> dict[str, Any]:
        return {"y": [output.tolist()]}


if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")

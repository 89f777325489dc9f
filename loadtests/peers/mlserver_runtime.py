# SPDX-License-Identifier: Apache-2.0
"""MLServer's custom runtime of the benchmark: tensors in, one output out, as its documentation writes one."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from loadtests.peers.session import PeerModel


class OnnxRuntime(MLModel):
    """Takes the first input of a request; MLServer's adaptive batching merges requests before they arrive here."""

    async def load(self) -> bool:
        self.model = PeerModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output(self.model.output, self.model.run(rows.astype(self.model.dtype)))
        return InferenceResponse(model_name=self.name, outputs=[output])

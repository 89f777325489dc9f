# SPDX-License-Identifier: Apache-2.0
"""Operations of the Open Inference Protocol v2: server, models, inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.openapi import answers, examples, requests
from services.openapi.headers import DEPRECATION, DIGEST, JSON_LENGTH, SUNSET
from services.openapi.interface import (
    ANYTHING,
    AUTHENTICATED,
    BINARY,
    INFERENCE,
    JSON,
    MODEL,
    OPAQUE,
    Answer,
    Content,
    Operation,
    Schema,
)

PROBLEM: Final = {JSON: Content(schema=answers.ProtocolError)}
_TAG: Final = "open inference protocol"
_BOTH: Final = (("", "", ""), ("/versions/{version}", "_version", " of a version"))


def said(description: str, schema: Schema) -> Mapping[int, Answer]:
    """An answer in JSON."""
    return {200: Answer(description=description, content={JSON: Content(schema=schema)})}


def _public(path: str, name: str, summary: str, answer: Mapping[int, Answer]) -> Operation:
    return Operation(
        method="GET",
        path=path,
        id=name,
        tag=_TAG,
        summary=summary,
        answers=answer,
        errors=ANYTHING,
        problem=PROBLEM,
        public=True,
    )


_READY: Final = {
    **said("Requests can be answered.", answers.Ready),
    503: Answer(description="Not now.", content={JSON: Content(schema=answers.Ready)}),
}

PUBLIC: Final = (
    _public("/v2", "v2_server", "The server and its extensions", said("The server.", answers.ServerMetadata)),
    _public("/v2/health/live", "v2_live", "Whether the process answers", said("It does.", answers.Live)),
    _public("/v2/health/ready", "v2_ready", "Whether requests can be answered", _READY),
    _public("/readyz", "readyz", "The same as /v2/health/ready, for orchestrators", _READY),
)


def _metadata(path: str, suffix: str, of: str) -> Operation:
    return Operation(
        method="GET",
        path=f"/v2/models/{{model}}{path}",
        id=f"v2_model{suffix}",
        tag=_TAG,
        summary=f"What a model takes and gives{of}",
        description="Loads the model if it is not loaded.",
        answers=said("Inputs, outputs, versions and the verified digest.", answers.ModelMetadata),
        errors=(*AUTHENTICATED, *MODEL),
        problem=PROBLEM,
    )


def _model_ready(path: str, suffix: str, of: str) -> Operation:
    content = {JSON: Content(schema=answers.ModelReady)}
    return Operation(
        method="GET",
        path=f"/v2/models/{{model}}{path}/ready",
        id=f"v2_model{suffix}_ready",
        tag=_TAG,
        summary=f"Whether a model can be used{of}",
        answers={
            200: Answer(description="It can.", content=content),
            503: Answer(description="Not now.", content=content),
        },
        errors=(*AUTHENTICATED, *MODEL),
        problem=PROBLEM,
    )


def _infer(path: str, suffix: str, of: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/v2/models/{{model}}{path}/infer",
        id=f"v2_model{suffix}_infer",
        tag=_TAG,
        summary=f"Run a model{of}",
        description=(
            "All JSON, or with the binary tensor data extension: `Inference-Header-Content-Length` bytes of JSON, then the "
            "binary tensors in the order of the inputs that have `binary_data_size`. Outputs come like that if "
            "`binary_data_output` or `binary_data` ask for it. Binary tensors need the feature `v2.binary`, shared memory "
            "`v2.shared_memory`. Bodies may be compressed (`Content-Encoding: gzip` or `deflate`)."
        ),
        body={
            JSON: Content(schema=requests.InferRequest, example=examples.PROTOCOL),
            BINARY: Content(schema=OPAQUE, description="JSON, then binary tensors."),
        },
        headers=(JSON_LENGTH,),
        answers={
            200: Answer(
                description="The result.",
                content={JSON: Content(schema=answers.InferResponse), BINARY: Content(schema=OPAQUE)},
                headers=(DIGEST, DEPRECATION, SUNSET, JSON_LENGTH),
            )
        },
        errors=(*AUTHENTICATED, *INFERENCE),
        problem=PROBLEM,
    )


OPERATIONS: Final = (
    *PUBLIC,
    *(make(*which) for which in _BOTH for make in (_metadata, _model_ready, _infer)),
)

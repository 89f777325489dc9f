# SPDX-License-Identifier: Apache-2.0
"""Operations of the short form."""

from __future__ import annotations

from typing import Final

from core.errors import ErrorCode as E
from services.openapi import answers, examples, requests
from services.openapi.headers import DEPRECATION, DIGEST, SUNSET
from services.openapi.interface import AUTHENTICATED, INFERENCE, JSON, OPAQUE, Answer, Content, Operation

_PACKED: Final = ("application/msgpack", "application/x-msgpack")
_PROTOBUF: Final = ("application/x-protobuf", "application/protobuf")
_ASKS: Final = Content(schema=OPAQUE, description="`furoshiki.v1.InferRequest` of `furoshiki_v1.proto`.")
_TELLS: Final = Content(schema=OPAQUE, description="`furoshiki.v1.InferResponse`.")
_FAILS: Final = Content(schema=OPAQUE, description="`furoshiki.v1.Error`.")

PROBLEM: Final = {
    JSON: Content(schema=answers.Problem),
    **dict.fromkeys(_PACKED, Content(schema=answers.Problem)),
    **dict.fromkeys(_PROTOBUF, _FAILS),
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/infer",
        id="v1_infer",
        tag="short form",
        summary="Run a model",
        description=(
            "`Content-Type` says how the request is written, `Accept` how the answer is; without it, as the request. "
            "MessagePack needs the feature `v1.msgpack`, Protobuf `v1.protobuf`. Errors are JSON unless `Accept` excludes "
            "JSON and allows another form. Bodies may be compressed (`Content-Encoding: gzip` or `deflate`)."
        ),
        body={
            JSON: Content(schema=requests.ShortRequest, example=examples.SHORT),
            **dict.fromkeys(_PACKED, Content(schema=requests.PackedRequest, example=examples.SHORT)),
            **dict.fromkeys(_PROTOBUF, _ASKS),
        },
        answers={
            200: Answer(
                description="The result.",
                content={
                    JSON: Content(schema=answers.ShortResponse),
                    **dict.fromkeys(_PACKED, Content(schema=answers.PackedResponse)),
                    **dict.fromkeys(_PROTOBUF, _TELLS),
                },
                headers=(DIGEST, DEPRECATION, SUNSET),
            )
        },
        errors=(*AUTHENTICATED, *INFERENCE, E.NOT_ACCEPTABLE),
        problem=PROBLEM,
    ),
)

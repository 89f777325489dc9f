# SPDX-License-Identifier: Apache-2.0
"""Inference over the Open Inference Protocol v2: numpy in, numpy out, binary unless told otherwise.

A request is ``JSON ‖ tensors in the order of inputs`` with the header ``Inference-Header-Content-Length``. An
inference has no side effect, so it is repeated like a read. What came back is checked against its own declaration
before it is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from furoshiki.errors import FuroshikiError, InvalidRequest, ServerFault
from furoshiki.replies import unreadable
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Reply, Request, Steps, path
from furoshiki.tensors import Array, datatype_of, decode_binary, decode_json, encode_binary, encode_json
from furoshiki.versions import Tensor

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
DIGEST_HEADER: Final = "x-furoshiki-model-digest"
OUTPUT_LIMIT: Final = 2 * 1024**3  # bytes of a reply held in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResult:
    """What a model answered."""

    outputs: Mapping[str, Array]
    model: str
    version: str | None  # None: the service did not say
    digest: str | None  # verified manifest digest of what ran, "sha256:<hex>"; None: the service did not say
    request_id: str | None

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """What a served model takes and gives."""

    name: str
    versions: tuple[str, ...] = ()
    platform: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Answer(msgspec.Struct):
    model_name: str
    outputs: list[_Output]
    model_version: str | None = None


class Inference(Resource[D]):
    """``client.inference``."""

    @operation
    def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        binary: bool = True,
        timeout: float | None = None,
        url: str | None = None,
    ) -> Steps[InferenceResult]:
        """Runs a model once.

        Args:
            model: The model's name.
            inputs: An array for every input of the model, of exactly its datatype and shape.
            version: The version; None: the service's default.
            outputs: The outputs wanted; None: all.
            binary: Whether tensors travel in binary form; JSON otherwise.
            timeout: Seconds the service may take; None: its own limit.
            url: Another inference service than the client's, such as a deployment's.

        Raises:
            InvalidRequest: ``TENSOR_*`` if an input does not fit.
            NotFound: ``MODEL_001`` if there is no such model or version.
            SignatureRefused: ``SIGN_*`` if the service refused to load the model.
        """
        head: dict[str, Any] = {"inputs": [], "parameters": {"binary_data_output": binary}}
        if outputs is not None:
            head["outputs"] = [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
        if timeout is not None:
            head["parameters"]["timeout"] = max(1, int(timeout * 1e6))
        tail: list[bytes] = [
            _add_input(head["inputs"], name, np.asarray(array), binary) for name, array in inputs.items()
        ]
        text = msgspec.json.encode(head)
        framing = {HEADER_LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}
        request = Request(
            method="POST",
            path=_model_path(model, version) + "/infer",
            base=url or self._api.inference_url,
            headers=framing if binary else {"Content-Type": "application/json"},
            body=b"".join((text, *tail)),
            limit=OUTPUT_LIMIT,
        )
        return _result((yield from self._api.send(request)))

    @operation
    def metadata(self, model: str, *, version: int | str | None = None, url: str | None = None) -> Steps[ModelMetadata]:
        """What a served model takes and gives."""
        base = url or self._api.inference_url
        request = Request(method="GET", path=_model_path(model, version), base=base)
        return (yield from self._api.fetch(request, ModelMetadata))

    @operation
    def ready(self, *, url: str | None = None) -> Steps[bool]:
        """Whether the inference service would answer now. Never retried, never raises for a service that is down."""
        base = url or self._api.inference_url
        request = Request(method="GET", path="/v2/health/ready", base=base, repeatable=False)
        try:
            yield from self._api.send(request)
        except FuroshikiError as error:
            if error.retryable or error.status is not None:
                return False
            raise
        return True


def _model_path(model: str, version: int | str | None) -> str:
    return "/v2" + (path("models", model) if version is None else path("models", model, "versions", version))


def _add_input(described: list[dict[str, Any]], name: str, array: Array, binary: bool) -> bytes:
    """Adds the description of one input; returns its bytes, none if the description holds the data."""
    tensor: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype_of(array)}
    described.append(tensor)
    if not binary:
        tensor["data"] = encode_json(array, name=name)
        return b""
    data = encode_binary(array)
    tensor["parameters"] = {"binary_data_size": len(data)}
    return data


def _result(reply: Reply) -> InferenceResult:
    length = reply.headers.get(HEADER_LENGTH.lower())
    body = memoryview(reply.body)
    try:
        cut = len(body) if length is None else int(length)
        if not 0 < cut <= len(body):
            raise ValueError(f"announces {cut} bytes of JSON in {len(body)}")
        answer = msgspec.json.decode(body[:cut], type=_Answer)
        outputs = _outputs(answer, body[cut:])
    except (ValueError, InvalidRequest) as error:
        raise _broken(reply, error) from None
    return InferenceResult(
        outputs=outputs,
        model=answer.model_name,
        version=answer.model_version,
        digest=reply.headers.get(DIGEST_HEADER),
        request_id=reply.request_id,
    )


def _outputs(answer: _Answer, tail: memoryview) -> dict[str, Array]:
    outputs: dict[str, Array] = {}
    offset = 0
    for output in answer.outputs:
        if any(dim < 0 for dim in output.shape):
            raise ValueError(f"output {output.name!r} has shape {output.shape}")
        size = output.parameters.get("binary_data_size")
        if size is None:
            outputs[output.name] = decode_json(output.data or [], output.datatype, output.shape)
            continue
        if type(size) is not int or not 0 <= size <= len(tail) - offset:
            raise ValueError(f"output {output.name!r} announces {size} bytes; {len(tail) - offset} are left")
        outputs[output.name] = decode_binary(tail[offset : offset + size], output.datatype, output.shape)
        offset += size
    if offset != len(tail):
        raise ValueError(f"{len(tail) - offset} bytes follow the last output")
    return outputs


def _broken(reply: Reply, error: Exception) -> ServerFault:
    return unreadable(reply, f"is no inference result ({error})")

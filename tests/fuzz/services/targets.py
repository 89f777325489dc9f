# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: every decoder of a request, and behind it admission and the encoders of a result.

One case is one byte string. Its first byte chooses the model's signature; for ``rest_v2`` three more choose the length of the
JSON part. The law: a case is answered or refused with a :class:`FuroshikiError`; nothing else is raised, and what is accepted
fits the signature. A model that gives back its inputs stands for all models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from core.errors import FuroshikiError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import DType, Signature
from services.dataplane.admission import admit
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.grpc_v2 import codec as grpc_codec
from services.grpc_v2 import messages
from services.grpc_v2.errors import error_message, grpc_status
from services.rest_v1.errors import problem as v1_problem
from services.rest_v1.interface import Answer, to_request
from services.rest_v1.negotiation import CODECS
from services.rest_v2 import codec as v2_codec
from services.rest_v2 import raw as v2_raw
from services.rest_v2.errors import problem as v2_problem
from tests.fuzz.services.mutation import mutate_bytes, mutate_tree
from tests.fuzz.services.seeds import SIGNATURES, Seed, grpc_seeds, named_seeds, protobuf_seeds, v2_seeds
from tests.fuzz.services.trees import Fields, Pairs, to_json, to_msgpack, to_wire

CALLER: Final = Principal(tenant="t", key_id="k")
LIMITS: Final = EdgeLimits(json_bytes=4096, tensor_elements=2048, bytes_elements=64, tensors=4, rank=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One decoder."""

    name: str
    seeds: tuple[Seed, ...]
    write: Callable[[Any, Random], bytes]
    run: Callable[[bytes], None]


def case(target: Target, number: int) -> bytes:
    """The case of a number: a valid request, changed a little. The same number gives the same case."""
    random = Random(number)
    signature, tree = random.choice(target.seeds)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        tree = mutate_tree(tree, random)
    chosen = SIGNATURES.index(signature) if random.random() < 0.95 else random.randrange(256)
    data = bytes([chosen]) + target.write(tree, random)
    for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 4))):
        data = mutate_bytes(data, random)
    return data


def outcome(target: Target, data: bytes) -> str:
    """``ok``, or the code of the refusal.

    Raises:
        Exception: Anything else, which is what fuzzing looks for.
    """
    try:
        target.run(data)
    except FuroshikiError as error:
        _tell(error)
        return error.code
    return "ok"


def _tell(error: FuroshikiError) -> None:
    """Writes a refusal in every form."""
    for accept in (None, *CODECS):
        assert v1_problem(error, "r", accept)[1]
    assert v2_problem(error, "r")[1]
    assert grpc_status(error.code)
    assert error_message(error)


def _response(request: InferenceRequest, signature: Signature) -> InferenceResponse:
    """What the model that gives back its inputs answers, after checking that it could be asked at all."""
    assert request.inputs.keys() == request.dtypes.keys()
    admit(request, signature, subject="m@1")
    for spec in signature.inputs:
        array = request.inputs[spec.name]
        assert array.dtype == spec.dtype.numpy
        if spec.dtype is DType.BYTES:
            assert all(type(element) is bytes for element in array.flat)
    names = request.outputs or tuple(request.inputs)
    return InferenceResponse(
        model=request.model[:40].encode(errors="replace").decode(),
        version="1",
        digest="sha256:ab",
        outputs={name: request.inputs[name] for name in names},
        dtypes=request.dtypes,
    )


def _signature_of(data: bytes) -> Signature:
    return SIGNATURES[data[0] % len(SIGNATURES)] if data else SIGNATURES[0]


def _run_v1(media_type: bytes, data: bytes) -> None:
    signature = _signature_of(data)
    message = CODECS[media_type].parse(data[1:], LIMITS)
    request = to_request(message, signature, limits=LIMITS, tenant="t", request_id="r", deadline=message.deadline(0.0))
    response = _response(request, signature)
    for codec in set(CODECS.values()):
        for raw in (False, True):
            answer = Answer(response=response, request_id="r", latency_ms=0.5, raw=raw)
            try:
                codec.encode(answer, LIMITS)
            except FuroshikiError:
                continue  # this form cannot carry the result


def _header_length(control: bytes, body: bytes) -> bytes | None:
    match control[0] % 4 if control else 0:
        case 1:
            return b"%d" % (int.from_bytes(control[1:3], "little") % (len(body) + 1))
        case 2:
            return b"0"
        case 3:
            return control[1:3]
        case _:
            return None


def _run_v2(data: bytes) -> None:
    signature, body = _signature_of(data), data[4:]
    header = _header_length(data[1:4], body)
    if header == v2_raw.HEADER_LENGTH:
        request, wanted = v2_raw.decode(
            body, signature, limits=LIMITS, tenant="t", model="m", version=None, request_id="r"
        )
    else:
        request, wanted = v2_codec.decode(
            body, header, limits=LIMITS, tenant="t", model="m", version=None, request_id="r", now=0.0, caller=CALLER
        )
    v2_codec.encode(_response(request, signature), wanted, LIMITS)


_ORIGIN: Final = grpc_codec.Origin(CALLER, "r", 0.0, None, None)
_REMEMBERING: Final = grpc_codec.Decoder(LIMITS, v2_codec.NO_REGIONS)


def _run_grpc(data: bytes) -> None:
    """What the decoder remembers of earlier requests must change nothing."""
    signature, received = _signature_of(data), messages.receive(data[1:], LIMITS)
    fresh = _decoded(grpc_codec.Decoder(LIMITS, v2_codec.NO_REGIONS), received)
    remembered = _decoded(_REMEMBERING, received)
    if isinstance(fresh, FuroshikiError):
        assert isinstance(remembered, FuroshikiError)
        assert remembered.code == fresh.code
        raise fresh
    assert not isinstance(remembered, FuroshikiError)
    assert _told(*fresh) == _told(*remembered)
    grpc_codec.encode(_response(remembered[0], signature), remembered[1])


def _told(request: InferenceRequest, wanted: grpc_codec.Wanted) -> tuple[object, ...]:
    """All that was decoded, to compare; NaN equals itself."""
    inputs = {
        name: (array.dtype, array.shape, array.tolist() if array.dtype.hasobject else array.tobytes())
        for name, array in request.inputs.items()
    }
    scheduled = (request.deadline, request.priority)
    return inputs, request.dtypes, request.model, request.version, request.outputs, scheduled, wanted.id


def _decoded(
    decoder: grpc_codec.Decoder, received: messages.Received
) -> tuple[InferenceRequest, grpc_codec.Wanted] | FuroshikiError:
    try:
        return decoder.decode(received, _ORIGIN)
    except FuroshikiError as error:
        return error


def _write_v2(node: Any, random: Random) -> bytes:
    """Three control bytes, the JSON part, the tail."""
    parts = node if isinstance(node, list) else [node]
    if not any(isinstance(part, Pairs) for part in parts):
        return b"\x02\x00\x00" + b"".join(part for part in parts if isinstance(part, bytes))
    head = to_json(parts[0], random).encode(errors="surrogatepass")
    tail = b"".join(part for part in parts[1:] if isinstance(part, bytes))
    if not tail:
        return random.choice((b"\x00\x00\x00", b"\x01" + (len(head) % 65536).to_bytes(2, "little"))) + head
    size = (len(head) + random.choice((*[0] * 20, 1, -1))) % 65536
    return b"\x01" + size.to_bytes(2, "little") + head + tail


def _write_json(node: Any, random: Random) -> bytes:
    return to_json(node, random).encode(errors="surrogatepass")


def _write_wire(node: Any, random: Random) -> bytes:
    return to_wire(node, random) if isinstance(node, Fields) else b""


TARGETS: Final = {
    target.name: target
    for target in (
        Target(
            name="rest_v1_json",
            seeds=tuple(named_seeds(raw=False)),
            write=_write_json,
            run=partial(_run_v1, b"application/json"),
        ),
        Target(
            name="rest_v1_msgpack",
            seeds=(*named_seeds(raw=False), *named_seeds(raw=True)),
            write=to_msgpack,
            run=partial(_run_v1, b"application/msgpack"),
        ),
        Target(
            name="rest_v1_protobuf",
            seeds=tuple(protobuf_seeds()),
            write=_write_wire,
            run=partial(_run_v1, b"application/x-protobuf"),
        ),
        Target(name="rest_v2", seeds=tuple(v2_seeds()), write=_write_v2, run=_run_v2),
        Target(name="grpc_v2", seeds=tuple(grpc_seeds()), write=_write_wire, run=_run_grpc),
    )
}

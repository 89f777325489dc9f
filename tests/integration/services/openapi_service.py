# SPDX-License-Identifier: Apache-2.0
"""``bentoml serve`` with the model of the document's examples, a token that opens it, and every extension allowed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from onnx import TensorProto, helper

from artifacts.testing import make_bundle
from artifacts.tokens.testing import TokenSigner, key_set
from core.tensors import ANY, DType, Signature, TensorSpec
from loadtests.servers import bentoml_serve
from services.openapi import examples
from tests.served import staged

ISSUER, AUDIENCE, TENANT = "https://issuer.test", "furoshiki", "acme"
REGION, REGION_BYTES = "input0", 4096


@dataclass(frozen=True, kw_only=True)
class Service:
    """The running service."""

    url: str
    headers: dict[str, str]
    memory: str  # key of a shared memory object that may be registered

    def post(self, path: str, **body: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=self.headers)

    def load(self) -> None:
        """Makes the model ready, whoever may have unloaded it."""
        self.post(f"/v2/repository/models/{examples.MODEL}/load").raise_for_status()

    def register(self) -> None:
        """Makes sure that the region is there."""
        self.post(f"/v2/systemsharedmemory/region/{REGION}/unregister").raise_for_status()
        path = f"/v2/systemsharedmemory/region/{REGION}/register"
        self.post(path, key=self.memory, byte_size=REGION_BYTES).raise_for_status()


def doubling() -> bytes:
    """``y = x + x`` on rows of four."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    """Serves in ``folder`` and leaves nothing behind."""
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, 4)) for name in "xy")
    bundle = make_bundle(
        {"model.onnx": doubling()},
        tenant=TENANT,
        model=examples.MODEL,
        version=int(examples.VERSION),
        signature=Signature(inputs=(x,), outputs=(y,)),
    )
    signer = TokenSigner("EdDSA")
    (folder / "keys.json").write_bytes(key_set(signer))
    environment = staged(bundle, folder) | {
        "FUROSHIKI_AUTH__MODE": "jwt",
        "FUROSHIKI_JWT__ISSUERS__TEST__ISSUER": ISSUER,
        "FUROSHIKI_JWT__ISSUERS__TEST__AUDIENCE": AUDIENCE,
        "FUROSHIKI_JWT__ISSUERS__TEST__JWKS": str(folder / "keys.json"),
        "FUROSHIKI_REPOSITORY__CONTROL": "true",
        "FUROSHIKI_SHARED_MEMORY__ENABLED": "true",
    }
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": time.time() + 3600,
        "tenant": TENANT,
        "scope": "infer",
        "sub": "test",
    }
    memory = Path("/dev/shm") / f"furoshiki-openapi-{os.getpid()}"
    memory.write_bytes(bytes(REGION_BYTES))
    try:
        with bentoml_serve(
            "services.inference.service:Inference",
            environment=environment,
            log=folder / "log",
            ready="/v2/health/ready",
        ) as url:
            yield Service(url=url, headers={"Authorization": f"Bearer {signer.sign(claims)}"}, memory=f"/{memory.name}")
    finally:
        memory.unlink()

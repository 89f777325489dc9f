# SPDX-License-Identifier: Apache-2.0
"""Admission as a client meets it: a whole service, tokens of an issuer behind real HTTP, limits from the settings."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from onnx import TensorProto, helper

from artifacts.testing import make_bundle
from artifacts.tokens.testing import KeyServer, TokenSigner, key_set
from core.tensors import ANY, DType, Signature, TensorSpec
from services.inference.app import InferenceApp
from services.inference.bootstrap import build
from services.inference.settings import InferenceSettings
from services.testing import inner_app

ISSUER, AUDIENCE = "https://id.example", "furoshiki"
URL = "/v2/models/digits/infer"
BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}


def doubling() -> bytes:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    async with KeyServer(key_set()).serving() as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: KeyServer) -> None:
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, 2)) for name in "xy")
    bundle = make_bundle({"model.onnx": doubling()}, signature=Signature(inputs=(x,), outputs=(y,)))
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "acme.json").write_bytes(bundle.policy.to_bytes())
    for name, value in {
        "SOURCE": "bundle",
        "BUNDLE__PATH": str(bundle.write(tmp_path / "model")),
        "TRUST__DIR": str(tmp_path / "trust"),
        "AUTH__MODE": "jwt",
        "JWT__ISSUERS__CORP__ISSUER": ISSUER,
        "JWT__ISSUERS__CORP__AUDIENCE": AUDIENCE,
        "JWT__ISSUERS__CORP__JWKS": issuer.url,
        "JWT__REFETCH_S": "0.05",
        "QUOTA__REQUESTS_PER_SECOND": "2.5",
        "QUOTA__BURST": "5",
    }.items():
        monkeypatch.setenv(f"FUROSHIKI_{name}", value)


@pytest_asyncio.fixture
async def client(environment: None) -> AsyncIterator[httpx.AsyncClient]:
    parts = await build(InferenceSettings.read())
    transport = httpx.ASGITransport(app=InferenceApp(inner_app, parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
    await parts.plane.close()


def bearer(signer: TokenSigner, **changes: Any) -> dict[str, str]:
    now = time.time()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ci", "tenant": "acme", "scope": "infer", "exp": now + 60}
    return {"authorization": f"Bearer {signer.sign(claims | changes)}"}


async def infer(client: httpx.AsyncClient, headers: dict[str, str]) -> tuple[int, str | None]:
    reply = await client.post(URL, json=BODY, headers=headers)
    return reply.status_code, reply.headers.get("x-furoshiki-error")


async def test_a_token_lets_in_until_its_key_is_rotated_away(client: httpx.AsyncClient, issuer: KeyServer) -> None:
    """The first token fetches the keys, a token of a new key fetches them again, and one of no key is refused."""
    old, new = TokenSigner("RS256", kid="old"), TokenSigner("EdDSA", kid="new")
    issuer.document = key_set(old)
    assert await infer(client, bearer(old)) == (200, None)
    assert await infer(client, bearer(old)) == (200, None)
    assert issuer.requests == 1
    issuer.document = key_set(new)
    await asyncio.sleep(0.06)
    assert await infer(client, bearer(new)) == (200, None)
    assert await infer(client, bearer(old, jti="another")) == (401, "AUTH_002")
    assert issuer.requests <= 3


async def test_refusals_have_their_status_and_code(client: httpx.AsyncClient, issuer: KeyServer) -> None:
    """401 for what is no valid token, 403 without the scope, 404 for another tenant's view of the model."""
    signer = TokenSigner("ES256")
    issuer.document = key_set(signer)
    assert await infer(client, {}) == (401, "AUTH_001")
    for headers in (
        bearer(signer, aud="other"),
        bearer(signer, iss="https://evil.example"),
        bearer(signer, exp=time.time() - 31),
        bearer(signer, nbf=time.time() + 60),
        bearer(TokenSigner("ES256")),
        {"authorization": "Bearer furo_0123456789abcdef_" + "0" * 64},
        {"authorization": "Bearer " + "e" * 10_000},
    ):
        assert await infer(client, headers) == (401, "AUTH_002")
    assert await infer(client, bearer(signer, scope="read")) == (403, "AUTH_003")
    assert await infer(client, bearer(signer, tenant="globex")) == (404, "MODEL_001")


async def test_an_issuer_that_is_away_is_a_retryable_error(client: httpx.AsyncClient, issuer: KeyServer) -> None:
    """Nobody is refused because the service cannot ask."""
    signer = TokenSigner("EdDSA")
    issuer.status = 503
    assert await infer(client, bearer(signer)) == (503, "STORE_001")
    issuer.status, issuer.document = 200, key_set(signer)
    await asyncio.sleep(0.06)
    assert await infer(client, bearer(signer)) == (200, None)


async def test_beyond_the_limit_is_429_at_once(client: httpx.AsyncClient, issuer: KeyServer) -> None:
    """After the burst QUOTA_001 with whole seconds to wait that are enough; another tenant is not touched."""
    signer = TokenSigner("EdDSA")
    issuer.document = key_set(signer)
    headers = bearer(signer)
    assert [(await infer(client, headers))[0] for _ in range(5)] == [200] * 5
    other_token = bearer(signer, jti="2")
    reply = await client.post(URL, json=BODY, headers=other_token)
    assert (reply.status_code, reply.headers["x-furoshiki-error"]) == (429, "QUOTA_001")
    assert "2.5 requests per second" in json.loads(reply.content)["error"]
    await asyncio.sleep(int(reply.headers["retry-after"]))
    assert await infer(client, headers) == (200, None)
    assert (await infer(client, bearer(signer, tenant="globex")))[0] == 404

# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is complete, and true: schemathesis sends what it allows and forbids, and checks the answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from core.clock import SystemClock
from registry_api.app import create_app
from registry_api.http.services import Services
from registry_api.settings.registry import HttpSettings, LimitSettings
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import declared, tiny_onnx

EXAMPLES = 10
KEY = re.compile(r"[!-~]{1,255}")
BEYOND_SCHEMA = frozenset(
    {
        "create_upload",  # safe paths, one model among them
        "put_calibration",  # an archive
        "create_key",  # an expiry that lies ahead
        "deprecate",  # a sunset that lies ahead
        "add_evidence",  # a bill of materials in one of two formats
        "set_gates",  # a freeze that begins before it ends
        "revoke_signing",  # exactly one of three fields
        "create_webhook",  # a host that can be resolved
        "change_webhook",
        "get_usage",  # a beginning before the end
        "get_tenant_usage",
        "list_requests",
    }
)
"""Operations with rules JSON Schema cannot say, and which."""
PUBLIC = frozenset({"get_jwks", "get_login"})
"""Operations below the prefix that need no credential."""

DOCUMENT = create_app(Services(), LimitSettings(), HttpSettings(), SystemClock()).openapi()
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry with one model, ``a``, and one version, so that some generated requests find something."""
    with RegistryProcess(tmp_path_factory.mktemp("openapi") / "home") as process:
        with httpx.Client(base_url=f"{process.url}/api/v1", headers=process.headers, timeout=30) as http:
            http.post("/models", json={"name": "a"}).raise_for_status()
            files = {"model.onnx": tiny_onnx()}
            upload = http.post("/models/a/uploads", json={"files": declared(files)}).json()["id"]
            http.put(f"/uploads/{upload}/files/model.onnx", content=files["model.onnx"]).raise_for_status()
            http.post(f"/uploads/{upload}/complete").raise_for_status()
        yield process


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: Any, server: RegistryProcess) -> None:
    """Status, headers and body of each answer are in the document; bad input is refused; nothing is a 500."""
    excluded = [positive_data_acceptance] if _beyond_schema(case) else []
    if KEY.fullmatch((case.headers or {}).get("Idempotency-Key", "")):
        case.headers["Idempotency-Key"] = uuid4().hex  # a second request may not have the first one's
    case.call_and_validate(base_url=server.url, headers=server.headers, excluded_checks=excluded)


def _beyond_schema(case: Any) -> bool:
    """Whether a request breaks, or may break, a rule that JSON Schema cannot say."""
    query, headers, body = case.query or {}, case.headers or {}, case.body if isinstance(case.body, dict) else {}
    tags = body.get("tags")
    keys = [str(tag).partition(":")[0] for tag in tags] if isinstance(tags, list) else []
    return (
        case.operation.definition.raw["operationId"] in BEYOND_SCHEMA
        or "cursor" in query  # only the page before can give one
        or "If-Match" in headers  # only a GET can give one
        or len(str(query.get("q", "")).split()) > 1  # words have a limit
        or len(keys) != len(set(keys))
        or any(key.startswith("furoshiki.") for key in keys)
    )


def test_every_operation_is_described() -> None:
    """Each has a summary, a unique id, error responses of the shared form and, but for operations, a security scheme."""
    operations = [(path, verb, it) for path, item in DOCUMENT["paths"].items() for verb, it in item.items()]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, verb, operation in operations:
        assert operation["summary"], (path, verb)
        errors = {status: it for status, it in operation["responses"].items() if int(status) >= 400}
        assert "500" in errors, (path, verb)
        assert all(it["content"]["application/json"]["schema"] == problem for it in errors.values()), (path, verb)
        assert all(it["description"] for it in operation["responses"].values())
        if path.startswith("/api/v1") and operation["operationId"] not in PUBLIC:
            assert operation["security"] == [{"ApiKey": []}, {"Bearer": []}], (path, verb)
            assert {"401", "403"} <= errors.keys(), (path, verb)
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]

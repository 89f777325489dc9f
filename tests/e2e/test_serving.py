# SPDX-License-Identifier: Apache-2.0
"""The shared inference service: every model of the caller's tenant, and of no other."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from deploy.local.stack import LocalStack
from deploy.local.train import Trained
from furoshiki import AuthError, Client, NotFound


@pytest.fixture(scope="session")
def infer_key(admin: Client) -> str:
    return admin.keys.create("infer only", roles=["user"]).key


@pytest.fixture(scope="session")
def rival_key(admin: Client) -> str:
    admin.tenants.create("rival")
    return admin.keys.create("rival", roles=["tenant-admin"], tenant="rival").key


def test_predictions_over_http_equal_those_in_process(admin: Client, pushed: Trained) -> None:
    """The 360 held-out digits get the labels scikit-learn gives them, and the verified digest is reported."""
    result = admin.infer("digits", {"X": pushed.inputs})
    np.testing.assert_array_equal(result["label"], pushed.predicted)
    assert result.digest == admin.versions.resolve("digits").digest


def test_a_key_for_inference_only(stack: LocalStack, pushed: Trained, infer_key: str) -> None:
    """Scope 'infer' is enough to infer, and not enough to read the registry or download the model."""
    with Client(stack.registry_url, inference_url=stack.inference_url, api_key=infer_key) as client:
        np.testing.assert_array_equal(client.infer("digits", {"X": pushed.inputs[:3]})["label"], pushed.predicted[:3])
        with pytest.raises(AuthError, match="AUTH_003"):
            client.versions.get("digits", 1)
    download = httpx.get(
        f"{stack.registry_url}/api/v1/models/digits/versions/1/files/digits.onnx", headers={"X-API-Key": infer_key}
    )
    assert download.status_code == 403


def test_another_tenant_sees_nothing(stack: LocalStack, pushed: Trained, rival_key: str) -> None:
    """The same model name means nothing to another tenant, over either service, not even by naming the owner."""
    with Client(stack.registry_url, inference_url=stack.inference_url, api_key=rival_key) as client:
        with pytest.raises(NotFound, match="MODEL_001"):
            client.infer("digits", {"X": pushed.inputs[:1]})
        with pytest.raises(NotFound, match="MODEL_001"):
            client.versions.get("digits", 1)
    forged = httpx.get(
        f"{stack.registry_url}/api/v1/models", headers={"X-API-Key": rival_key, "X-Furoshiki-Tenant": "default"}
    )
    assert forged.status_code == 403


def test_the_services_key_only_reads(stack: LocalStack, pushed: Trained) -> None:
    """The inference service's own key reads in the tenant it names and may change nothing there."""
    key = (stack.home / "service.key").read_text().strip()
    headers = {"X-API-Key": key, "X-Furoshiki-Tenant": "rival"}
    assert httpx.get(f"{stack.registry_url}/api/v1/models", headers=headers).json()["items"] == []
    assert httpx.post(f"{stack.registry_url}/api/v1/models", headers=headers, json={"name": "x"}).status_code == 403
    assert httpx.get(f"{stack.registry_url}/api/v1/keys", headers=headers).status_code == 403
    assert httpx.get(f"{stack.registry_url}/api/v1/tenants", headers=headers).status_code == 403


def test_a_new_version_is_served_and_the_old_one_stays(admin: Client, pushed: Trained) -> None:
    """Without a version the newest is served; a version in the route stays what it was."""
    first = admin.versions.get("digits", 1)
    second = admin.models.push("digits", pushed.file, metadata={"note": "again"})
    pinned = admin.infer("digits", {"X": pushed.inputs[:1]}, version=1)
    newest = admin.infer("digits", {"X": pushed.inputs[:1]}, version=second.version)
    assert (pinned.version, pinned.digest) == ("1", first.digest)
    assert (newest.version, newest.digest) == (str(second.version), second.digest)
    assert first.digest != second.digest


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_works_unchanged(stack: LocalStack, pushed: Trained, infer_key: str, binary: bool) -> None:
    """NVIDIA's own client infers in binary and in JSON, with and without a choice of outputs."""
    headers = {"X-API-Key": infer_key}
    client = triton.InferenceServerClient(str(stack.inference_url).removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits", headers=headers)
    assert client.get_model_metadata("digits", headers=headers)["inputs"][0]["shape"] == [-1, 64]
    rows = pushed.inputs[:5]
    tensor = triton.InferInput("X", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    everything = client.infer("digits", [tensor], headers=headers, request_id="7")
    assert everything.get_response()["id"] == "7"
    np.testing.assert_array_equal(everything.as_numpy("label"), pushed.predicted[:5])
    wanted = [triton.InferRequestedOutput("probabilities", binary_data=binary)]
    chosen = client.infer("digits", [tensor], outputs=wanted, headers=headers)
    assert chosen.as_numpy("label") is None
    np.testing.assert_allclose(chosen.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)
    client.close()

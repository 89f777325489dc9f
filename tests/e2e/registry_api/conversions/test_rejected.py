# SPDX-License-Identifier: Apache-2.0
"""A rejected variant is a report and nothing else: it cannot be built, deployed, promoted, tuned, downloaded or converted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import LocalStack
from furoshiki import Client
from furoshiki.errors import FuroshikiError
from tests.e2e.registry_api.conversions.conftest import REJECTED
from tests.e2e.registry_api.conversions.furo import Furo

VERSION = "export-digits@1"
REFUSED = 3  # exit code: the request must be changed


@pytest.fixture
def gated(furo: Furo, tmp_path: Path) -> Iterator[None]:
    """PRODUCTION asks for parity."""
    for name, gates in (("parity", {"parity": True}), ("none", {})):
        (tmp_path / name).write_text(json.dumps(gates))
    furo.ok("gates", "set", "PRODUCTION", str(tmp_path / "parity"))
    yield
    furo.ok("gates", "set", "PRODUCTION", str(tmp_path / "none"))


def test_the_conversion_succeeded_and_says_why(furo: Furo, rejected: Any) -> None:
    """Failing the comparison is a result: the job succeeded, every broken bound is named with its number."""
    (result,) = rejected["results"]
    assert (rejected["state"], result["variant"], result["accepted"]) == ("succeeded", REJECTED, False)
    assert [("mean relative" in each, "cosine" in each) for each in result["reasons"]] == [(True, False), (False, True)]
    shown = {each["name"]: each["state"] for each in furo.ok("report", VERSION)}
    assert shown[REJECTED] == "rejected"
    assert json.loads(furo("report", VERSION, REJECTED).out)["accepted"] is False


@pytest.mark.usefixtures("rejected")
def test_furo_refuses_to_use_it(furo: Furo) -> None:
    """Each with its exit code and its error code."""
    chosen = ("--variant", REJECTED)
    assert furo.refused("build", VERSION, *chosen, "--wait") == (REFUSED, "STATE_001")
    assert furo.refused("deploy", VERSION, *chosen, "--name", "rejected") == (REFUSED, "STATE_001")
    assert furo.refused("tune", VERSION, *chosen) == (5, "MODEL_001")
    assert furo.refused("convert", VERSION, *chosen, "--to", "onnx-fp16") == (5, "MODEL_001")
    assert REJECTED not in furo.ok("report", VERSION, "--choose", "size")["variant"]["name"]


@pytest.mark.usefixtures("rejected")
def test_the_api_refuses_to_use_it(stack: LocalStack, admin: Client) -> None:
    """Build, and with it deployment, and download; a stage or an alias takes a version, and no variant of it."""
    with pytest.raises(FuroshikiError) as refusal:
        admin.builds.create("export-digits", version=1, variant=REJECTED)
    assert refusal.value.code == "STATE_001"
    with httpx.Client(base_url=f"{stack.registry_url}/api/v1", headers={"X-API-Key": stack.admin_key}) as http:
        of_version = "/models/export-digits/versions/1"
        moved = {"stage": "STAGING", "reason": "r", "variant": REJECTED}
        replies = [
            http.get(f"{of_version}/variants/{REJECTED}/manifest"),
            http.post("/deployments", json={"name": "rejected", "build_id": "0" * 32}),
            http.put(f"{of_version}/stage", json=moved),
        ]
    codes = [(reply.status_code, reply.json()["error"]["code"]) for reply in replies]
    assert codes == [(409, "STATE_001"), (404, "BUILD_001"), (422, "VALID_002")]


@pytest.mark.usefixtures("rejected", "gated")
def test_it_keeps_its_version_from_promotion(furo: Furo, admin: Client) -> None:
    """Where a stage asks for parity, the signed verdict counts as it is; a form that keeps its bounds opens the gate."""
    assert furo(*("stage", f"export-digits@1/{REJECTED}", "PRODUCTION", "--reason", "r")).code == 2
    furo.ok("stage", VERSION, "STAGING", "--reason", "candidate")
    assert furo.refused("stage", VERSION, "PRODUCTION", "--reason", "r") == (REFUSED, "GATE_001")
    with pytest.raises(FuroshikiError) as refusal:
        admin.versions.stage("export-digits", 1, "PRODUCTION", reason="r")
    assert refusal.value.code == "GATE_001"
    (unmet,) = furo("gates", "check", VERSION, "-o", "json").json["unmet"]
    assert unmet["gate"] == "parity"
    made = furo.ok("convert", VERSION, "--variant", "onnx-fp32/cpu", "--to", "onnx-fp16")
    assert made["results"][0]["accepted"]
    assert furo.ok("stage", VERSION, "PRODUCTION", "--reason", "repaired")["stage"] == "PRODUCTION"

# SPDX-License-Identifier: Apache-2.0
"""Conversions that are cancelled, and variants whose source is revoked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import LocalStack
from furoshiki import Client
from loadtests.servers import ServerFailed, bentoml_serve
from registry_api.jobs.process import JOB_VARIABLE, find_by_variable
from tests.e2e.registry_api.conversions.furo import Furo
from tests.e2e.registry_api.conversions.sources import Source

JOB_FAILED = 8  # exit code: the job failed
PROMISED_S = 5.0  # from revocation to refusal


@pytest.fixture
def deployed(furo: Furo) -> Iterator[Callable[..., Any]]:
    """Deploys, and stops what was deployed in the end: deployments outlive the worker that made them."""
    names: list[str] = []

    def deploy(*arguments: str) -> Any:
        made = furo.ok("deploy", *arguments, "--wait")
        names.append(made["name"])
        return made

    yield deploy
    for name in names:
        furo.ok("stop", name)


@pytest.mark.usefixtures("pushed")
def test_a_cancelled_conversion_leaves_nothing(stack: LocalStack, admin: Client, furo: Furo) -> None:
    """In the middle of its work: every process of its group is gone, nothing is on disk, no form is registered."""
    asked = furo.ok("convert", "keras-digits@1", "--to", "saved_model", "--no-wait")
    job = asked["job_id"]
    until(lambda: len(list(find_by_variable(JOB_VARIABLE, job))) > 1, 30)
    furo.ok("cancel", job)
    assert furo("logs", job, "--job", "--follow").code == 0
    until(lambda: not list(find_by_variable(JOB_VARIABLE, job)), 10)
    assert admin.jobs.get(job).state == "cancelled"
    assert "saved_model-fp32/cpu" not in {each["name"] for each in furo.ok("report", "keras-digits@1")}
    assert not [path for path in (stack.home / "scratch").rglob("*") if job in path.name]


def test_a_revoked_parent_revokes_its_children(
    stack: LocalStack, furo: Furo, deployed: Callable[..., Any], sources: dict[str, Source], tmp_path: Path
) -> None:
    """A child that is being served is refused within five seconds; none is built, converted, deployed or served any more."""
    source = sources["script-digits"]
    furo.ok("push", str(source.path), "--name", "leaked", *source.options)
    (made,) = furo.ok("convert", "leaked@1", "--to", "onnx")["results"]
    child = ("leaked@1", "--variant", made["variant"])
    build = furo.ok("build", *child, "--wait")
    url = deployed(*child, "--name", "leaked", "--auth", "open")["url"]
    body = {"model": "leaked", "inputs": {"image": source.images[:2].tolist()}}
    answer = httpx.post(f"{url}/v1/infer", json=body)
    assert (answer.status_code, answer.json()["digest"]) == (200, made["digest"])
    furo.ok("signing", "revoke", "leaked@1", "--reason", "leaked data")
    until(lambda: httpx.post(f"{url}/v1/infer", json=body).status_code != httpx.codes.OK, PROMISED_S)
    assert httpx.post(f"{url}/v1/infer", json=body).json()["error"]["code"] == "SIGN_009"
    assert {each["state"] for each in furo.ok("report", "leaked@1")} == {"revoked"}
    assert furo.refused("build", *child, "--wait") == (JOB_FAILED, "SIGN_009")
    assert furo.refused("convert", *child, "--to", "onnx-fp16") == (JOB_FAILED, "SIGN_009")
    assert furo.refused("deploy", *child, "--name", "again", "--wait") == (JOB_FAILED, "SIGN_009")
    environment = {
        "BENTOML_HOME": str(stack.home / "bentoml"),
        "FUROSHIKI_AUTH__MODE": "open",
        "FUROSHIKI_TRUST__DIR": str(stack.home / "keys" / "trust"),
    }
    serve = bentoml_serve(build["tag"], environment=environment, log=tmp_path / "log", ready="/v2/health/ready")
    with pytest.raises(ServerFailed, match="SIGN_009"), serve:
        pass


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Waits for something that happens by itself."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)

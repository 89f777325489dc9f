# SPDX-License-Identifier: Apache-2.0
"""Every command does its work: result on stdout, remarks on stderr, JSON on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from furoshiki.testing import FakeService

Run: TypeAlias = Callable[..., Any]  # the fixture


@pytest.fixture
def pushed(run: Run, model_file: Path) -> None:
    assert run("push", str(model_file), "--name", "digits").code == 0


def test_push_shows_what_was_registered(run: Run, model_file: Path) -> None:
    """A push prints the version with its digest; the remark that it succeeded goes to stderr."""
    ran = run("push", str(model_file), "--name", "digits", "-m", "accuracy=0.97", "--tag", "demo")
    assert ran.code == 0
    assert "acme/digits@1" in ran.out
    assert "sha256:" in ran.out
    assert "accuracy=0.97" in ran.out
    assert ran.err == "Registered and signed acme/digits@1.\n"


def test_push_as_json(run: Run, model_file: Path) -> None:
    """With ``--output json`` stdout holds one JSON document with everything known."""
    version = run("push", str(model_file), "--name", "digits", "--output", "json").json
    assert (version["version"], version["files"][0]["path"]) == (1, "digits.onnx")


@pytest.mark.parametrize("pair", ["novalue", "=x"])
def test_malformed_metadata_is_a_usage_error(run: Run, model_file: Path, pair: str) -> None:
    """Metadata that is no KEY=VALUE is wrong usage."""
    ran = run("push", str(model_file), "--name", "digits", "-m", pair)
    assert (ran.code, "KEY=VALUE" in ran.err) == (2, True)


@pytest.mark.usefixtures("pushed")
def test_models_and_versions_are_listed_and_shown(run: Run) -> None:
    """``models`` and ``versions`` list without, and describe with, a name or version."""
    assert "digits" in run("models").out
    assert run("models", "digits", "-o", "json").json["latest_version"] == 1
    listed = run("versions", "digits").out.splitlines()
    assert listed[0].split()[:2] == ["VERSION", "STAGE"]
    assert listed[1].split()[:2] == ["1", "DEVELOPMENT"]
    assert "X FP32[-1, 4]" in run("versions", "digits@1").out
    assert [version["version"] for version in run("versions", "digits", "-o", "json").json] == [1]


@pytest.mark.usefixtures("pushed")
def test_tables_are_never_cut(run: Run, service: FakeService) -> None:
    """Where nobody sees a screen, a table holds every value whole: digests can be grepped."""
    digest = service.registry.versions["digits"][0]["digest"]
    assert digest in run("versions", "digits").out


@pytest.mark.usefixtures("pushed")
def test_stage_moves_a_version(run: Run) -> None:
    """``stage`` needs a version and a reason, and shows the new stage."""
    assert "STAGING" in run("stage", "digits@1", "staging", "--reason", "r").out
    assert run("stage", "digits", "staging", "--reason", "r").code == 2
    assert run("stage", "digits@1", "staging").code == 2
    assert run("stage", "digits@1", "limbo", "--reason", "r").code == 2


@pytest.mark.usefixtures("pushed")
def test_build_waits_with_steps_on_stderr(run: Run) -> None:
    """``build --wait`` tells each step once on stderr and prints the finished build."""
    ran = run("build", "digits@1", "--wait")
    assert ran.code == 0
    assert "acme.digits:v1-onnx-fp32-cpu" in ran.out
    steps = ["queued", "at work", "done"]
    assert ran.err.splitlines() == [f"Building digits@1: {step}" for step in steps]
    assert run("build", "digits", "-o", "json").json["state"] == "queued"


@pytest.mark.usefixtures("pushed")
def test_tune_shows_what_was_measured_and_chosen(run: Run) -> None:
    """``tune --wait`` prints every point and the choice; as JSON it is one document; without waiting nothing is chosen."""
    ran = run("tune", "digits@1", "--wait")
    assert ran.code == 0
    assert ran.out.splitlines()[0].split() == ["INSTANCES", "THREADS", "ROWS", "ROWS/S", "P50", "MS"]
    assert ran.out.splitlines()[1].split() == ["2", "1", "16", "1234.5", "0.25"]
    assert "2 instances x 1 threads, batches up to 16 rows" in ran.out
    assert "2 cores of Fake CPU, onnx-cpu 1.0" in ran.out
    assert ran.err.splitlines()[0] == "Tuning digits@1: queued"
    shown = run("tune", "digits@1", "--wait", "-o", "json").json
    assert shown["chosen"] == {"instances": 2, "threads": 1, "max_rows": 16}
    assert run("tune", "digits", "-o", "json").json["chosen"] is None


@pytest.mark.usefixtures("pushed")
def test_deploy_builds_if_needed_and_only_then(run: Run, service: FakeService) -> None:
    """``deploy`` builds when there is no build of the version and uses the one there is otherwise."""
    service.operations.deployment_url = "http://127.0.0.1:4000"
    first = run("deploy", "digits@1", "--name", "prod", "--wait")
    assert first.code == 0
    assert "http://127.0.0.1:4000" in first.out
    assert "building it" in first.err
    second = run("deploy", "digits", "--name", "second", "-o", "json")
    assert second.json["build_id"] == "build-1"
    assert "Using build build-1" in second.err


@pytest.mark.usefixtures("pushed")
def test_ps_logs_and_stop(run: Run) -> None:
    """``ps`` lists what runs, ``logs`` prints its log, ``stop`` ends it, ``ps --all`` still knows it."""
    run("deploy", "digits@1", "--name", "prod", "--wait")
    assert [one["name"] for one in run("ps", "-o", "json").json] == ["prod"]
    assert run("logs", "prod").out == "serving\nready\n"
    (name,) = run("deployments", "show", "prod", "-o", "json").json["instances"]
    assert f"{name['run']} ready" in run("deployments", "show", "prod").out
    assert run("logs", "prod", "--instance", name["run"]).out == "serving\nready\n"
    assert run("logs", "prod", "--instance", "nobody").code == 5
    assert run("logs", "job-1", "--job", "--instance", "nobody").code == 2
    assert run("stop", "prod", "-o", "json").json["state"] == "stopped"
    assert run("ps", "-o", "json").json == []
    assert "stopped" in run("ps", "--all").out
    assert run("logs", "prod", "--follow").out == "serving\nready\n"
    assert run("logs", "job-1", "--job").out == "one\ntwo\n"
    assert json.loads(run("logs", "job-1", "--job", "-f", "-o", "json").out)["next_offset"] == 8


@pytest.mark.usefixtures("pushed")
def test_deployments_are_changed_and_told_of(run: Run) -> None:
    """``deployments`` scales, updates and rolls back; ``ps`` shows revision and readiness; the history can be read."""
    run("deploy", "digits@1", "--name", "prod", "--wait")
    assert run("deployments", "scale", "prod", "3", "--wait", "-o", "json").json["replicas"] == 3
    assert run("deployments", "update", "prod", "--auth", "open", "--wait", "-o", "json").json["revision"] == 2
    seen = run("deployments", "show", "prod", "-o", "json").json["etag"]
    assert run("deployments", "scale", "prod", "3", "--etag", seen.strip('"')).code == 0
    assert run("deployments", "scale", "prod", "2", "--etag", "another").code == 3
    back = run("deployments", "rollback", "prod", "--reason", "slow", "--wait", "-o", "json").json
    assert (back["revision"], back["auth"]) == (3, "api_key")
    assert "3/3" in run("ps").out
    assert [each["revision"] for each in run("deployments", "revisions", "prod", "-o", "json").json] == [3, 2, 1]
    told = [each["kind"] for each in run("deployments", "events", "prod", "-o", "json").json]
    assert told == ["rolled_back", "scaled", "updated", "scaled", "created"]
    assert "Instances" in run("deployments", "show", "prod").out


@pytest.mark.usefixtures("pushed")
def test_deploy_takes_a_version_or_an_image(run: Run) -> None:
    """Both or neither is a usage error, and so is a size that is none."""
    assert run("deploy", "--name", "prod").code == 2
    assert run("deploy", "digits", "--name", "prod", "--image", "i").code == 2
    assert run("deployments", "update", "prod", "digits", "--image", "i").code == 2
    assert run("deploy", "--name", "prod", "--image", "i", "--memory", "much").code == 2


@pytest.fixture
def served(service: FakeService) -> None:
    service.serve_model(
        "digits",
        lambda inputs: {"sum": inputs["X"].sum(axis=1), "name": np.array([b"a"] * len(inputs["X"]), dtype=object)},
        inputs={"X": ("FP32", [-1, 2])},
    )


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_infer_takes_json_and_gives_it_the_models_datatype(run: Run, extra: list[str]) -> None:
    """Numbers on the command line become what the model declares; results can be JSON."""
    result = run("infer", "digits", "--input", "X=[[1, 2], [3, 4]]", "-o", "json", *extra).json
    assert result["outputs"]["sum"] == {"datatype": "FP32", "shape": [2], "data": [3.0, 7.0]}
    assert result["outputs"]["name"]["data"] == ["a", "a"]
    assert result["digest"].startswith("sha256:")


@pytest.mark.usefixtures("served")
def test_infer_takes_files(run: Run, tmp_path: Path) -> None:
    """Inputs may be .npy files, sent as they are, or JSON files."""
    np.save(tmp_path / "x.npy", np.ones((1, 2), dtype=np.float32))
    (tmp_path / "x.json").write_text("[[2, 2]]")
    assert "[2.]" in run("infer", "digits", "-i", f"X=@{tmp_path}/x.npy").out
    assert "[4.]" in run("infer", "digits", "-i", f"X=@{tmp_path}/x.json").out


@pytest.mark.usefixtures("served")
def test_infer_refuses_other_dtypes_than_the_models(run: Run, tmp_path: Path) -> None:
    """A .npy file of another dtype is refused by the service, not converted behind the caller's back."""
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    ran = run("infer", "digits", "-i", f"X=@{tmp_path}/x.npy")
    assert (ran.code, "TENSOR_002" in ran.err, ran.out) == (3, True, "")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("X", 2),
        ("X=", 2),
        ("X={", 2),
        ("X=@/nonexistent.npy", 2),
        ("=[1]", 2),
        ("Y=[[1, 2]]", 3),
        ("X=[[1, 2], [3]]", 3),
        ('X=[["a", "b"]]', 3),
    ],
)
def test_infer_names_bad_inputs(run: Run, value: str, code: int) -> None:
    """What cannot be read is wrong usage; what does not fit the model is a wrong request."""
    ran = run("infer", "digits", "--input", value)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err


@pytest.mark.usefixtures("served")
def test_infer_refuses_pickles(run: Run, tmp_path: Path) -> None:
    """A .npy file that holds Python objects is refused, never unpickled."""
    np.save(tmp_path / "x.npy", np.array([object()], dtype=object), allow_pickle=True)
    assert run("infer", "digits", "-i", f"X=@{tmp_path}/x.npy").code == 2


@pytest.mark.usefixtures("served", "pushed")
def test_infer_can_ask_a_deployment(run: Run, service: FakeService) -> None:
    """``--deployment`` asks where that deployment answers; one without an address is named."""
    service.operations.deployment_url = "http://127.0.0.1:4000"
    run("deploy", "digits", "--name", "prod")
    assert run("infer", "digits", "-i", "X=[[1, 1]]", "--deployment", "prod").code == 6
    run("stop", "prod")
    run("deploy", "digits", "--name", "prod", "--wait")
    assert run("infer", "digits", "-i", "X=[[1, 1]]", "--deployment", "prod").code == 0
    assert service.calls[-1].headers["host"] == "127.0.0.1:4000"


@pytest.mark.usefixtures("pushed")
def test_verify_of_a_directory_and_of_a_reference(run: Run, service: FakeService, tmp_path: Path) -> None:
    """A pulled bundle verifies offline; a reference is downloaded and verified; another version is refused."""
    policy = tmp_path / "trust.json"
    policy.write_text(run("trust").out)
    assert run("pull", "digits", str(tmp_path / "b"), "-o", "json").json["ref"] == "acme/digits@1"
    service.calls.clear()
    ran = run("verify", str(tmp_path / "b"), "--policy", str(policy), "--expect", "digits@1")
    assert (ran.code, service.calls) == (0, [])
    assert service.registry.signer.key_id in ran.out
    assert run("verify", "digits@1", "--policy", str(policy), "-o", "json").json["files"] == 1
    other = run("verify", str(tmp_path / "b"), "--policy", str(policy), "--expect", "digits@2")
    assert (other.code, "SIGN_011" in other.err) == (7, True)


@pytest.mark.usefixtures("pushed")
def test_verify_refuses_a_flipped_byte(run: Run, tmp_path: Path) -> None:
    """One changed byte ends with exit code 7, the rule's code on stderr and nothing on stdout."""
    policy = tmp_path / "trust.json"
    policy.write_text(run("trust").out)
    run("pull", "digits@1", str(tmp_path / "b"))
    file = tmp_path / "b/digits.onnx"
    file.write_bytes(b"!" + file.read_bytes()[1:])
    ran = run("verify", str(tmp_path / "b"), "--policy", str(policy))
    assert (ran.code, ran.out) == (7, "")
    assert "SIGN_004" in ran.err
    assert "digits.onnx" in ran.err

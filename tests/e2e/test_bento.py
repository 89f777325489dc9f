# SPDX-License-Identifier: Apache-2.0
"""A built Bento by hand: it serves, it is listed, and it does not start when one byte of its model was changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from deploy.local.stack import LocalStack, free_port
from deploy.local.train import Trained
from furoshiki import Build, Client
from loadtests.servers import bentoml_serve


@pytest.fixture(scope="session")
def build(admin: Client, pushed: Trained) -> Build:
    return admin.builds.wait(admin.builds.create("digits", version=1).id)


def does_not_start(bento: Path) -> str:
    """What ``bentoml serve`` says of a Bento that it must refuse."""
    run = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", str(bento), "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "BENTOML_HOME": str(bento.parent / "home"), "FUROSHIKI_AUTH__MODE": "open"},
        check=False,
    )
    assert run.returncode != 0
    return run.stderr + run.stdout


def test_bentoml_lists_it(stack: LocalStack, build: Build) -> None:
    """`bentoml list` shows the Bento with its version."""
    environment = {**os.environ, "BENTOML_HOME": str(stack.home / "bentoml"), "COLUMNS": "200"}
    listed = subprocess.run(
        [sys.executable, "-m", "bentoml", "list", "-o", "json"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert build.tag == "default.digits:v1-onnx-fp32-cpu"
    assert build.tag in listed.stdout


def test_served_by_hand(stack: LocalStack, build: Build, pushed: Trained, tmp_path: Path) -> None:
    """`bentoml serve <tag>` serves exactly its model, in open mode on loopback without any registry."""
    environment = {"BENTOML_HOME": str(stack.home / "bentoml"), "FUROSHIKI_AUTH__MODE": "open"}
    with bentoml_serve(str(build.tag), environment=environment, log=tmp_path / "log", ready="/v2/health/ready") as url:
        body = {"model": "digits", "inputs": {"X": pushed.inputs[:4].tolist()}}
        answer = httpx.post(f"{url}/v1/infer", json=body)
        absent = httpx.get(f"{url}/v2/models/wine")
        metrics = httpx.get(f"{url}/metrics").text
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(answer.json()["outputs"]["label"], pushed.predicted[:4])
    assert absent.status_code == 404
    assert f'digest="{answer.json()["digest"]}"' in metrics


@pytest.mark.parametrize(
    ("file", "code"), [("digits.onnx", "SIGN_004"), ("manifest.json", "SIGN_002"), ("model.sig", "SIGN_002")]
)
def test_one_flipped_byte_and_it_does_not_start(
    stack: LocalStack, build: Build, tmp_path: Path, file: str, code: str
) -> None:
    """`bentoml serve` of a Bento with one changed byte ends at once, names the SIGN code and opens no port."""
    copy = tmp_path / "bento"
    shutil.copytree(stack.bento(str(build.tag)), copy)
    target = copy / "src" / "model" / file
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    said = does_not_start(copy)
    assert code in said
    assert "Starting production" not in said


def test_an_added_file_is_refused(stack: LocalStack, build: Build, tmp_path: Path) -> None:
    """A file the manifest does not list is enough to refuse the Bento."""
    copy = tmp_path / "bento"
    shutil.copytree(stack.bento(str(build.tag)), copy)
    (copy / "src" / "model" / "extra.bin").write_bytes(b"")
    assert "SIGN_005" in does_not_start(copy)

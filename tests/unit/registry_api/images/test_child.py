# SPDX-License-Identifier: Apache-2.0
"""The child that makes an image: what it is given, what it tells, how its refusals become errors. Programs stand for it."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from core.errors import ErrorCode, FuroshikiError, JobError, Unavailable
from registry_api.images.builders.spec import ImageResult, ImageSpec
from registry_api.images.child import BuildLimits, build_in_child, passed_on
from registry_api.jobs.testing import RecordingTask, a_job

LAYER = {"name": "model", "digest": "sha256:" + "3" * 64, "size": 5, "plain": 9, "cached": True}
ANSWER = {
    "digest": "sha256:" + "1" * 64,
    "size": 7,
    "base": "sha256:" + "2" * 64,
    "builder": "layers",
    "builder_version": "1",
    "reason": "asked for",
    "layers": [LAYER],
    "seconds": {"base": 0.1},
}


def spec(folder: Path) -> ImageSpec:
    at = str(folder)
    return ImageSpec(builder="layers", device="cpu", bento=at, bases=at, scratch=at, cache=at, target=at)


async def run(folder: Path, code: str, task: RecordingTask | None = None) -> ImageResult:
    """Runs a program in the place of the builder's; ``sys.argv`` has the paths of spec and result."""
    limits = BuildLimits(program=(sys.executable, "-c", f"import json, os, sys\n{code}"))
    return await build_in_child(spec(folder), folder, limits, task or RecordingTask(job=a_job()))


async def test_what_it_prints_is_log_and_step_and_what_it_wrote_is_the_result(tmp_path: Path) -> None:
    """It finds the spec at the first path, and its result is read from the second; TMPDIR is inside of the job's folder."""
    task = RecordingTask(job=a_job())
    code = f"""
print("builder", json.load(open(sys.argv[1]))["builder"])
print(os.path.relpath(os.environ["TMPDIR"], {str(tmp_path)!r}))
open(sys.argv[2], "w").write({msgspec.json.encode(ANSWER).decode()!r})
"""
    made = await run(tmp_path, code, task)
    assert msgspec.to_builtins(made) == {**ANSWER, "layers": (LAYER,)}
    assert made.image.digest == ANSWER["digest"]
    assert task.lines == ["builder layers", "tmp"]
    assert [step for _fraction, step in task.steps] == ["builder layers", "tmp", "the image is built"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("IMAGE_001", JobError),
        ("IMAGE_002", Unavailable),
        ("IMAGE_003", JobError),
        ("IMAGE_004", JobError),
        ("SIGN_004", JobError),
        ("STORE_004", Unavailable),
    ],
)
async def test_a_refusal_keeps_its_code(tmp_path: Path, code: str, kind: type[FuroshikiError]) -> None:
    """A missing base and a full disk may pass; nothing else is tried again. The line is no log: the error says it."""
    task = RecordingTask(job=a_job())
    refusal = f"print(json.dumps({{'code': {code!r}, 'message': 'why'}}), file=sys.stderr); sys.exit(3)"
    with pytest.raises(kind) as caught:
        await run(tmp_path, refusal, task)
    assert (caught.value.code, caught.value.message) == (code, "why")
    assert task.lines == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('last words'); sys.exit(1)", "status 1: last words"),
        ("sys.exit(3)", "status 3"),
        ("os.kill(os.getpid(), 9)", "status -9"),
        ("pass", "no usable answer"),
        ("open(sys.argv[2], 'w').write('{}')", "no usable answer"),
        ('print(\'{"code": "X", "message": "unheard of"}\'); sys.exit(3)', "unheard of"),
    ],
)
async def test_a_child_that_does_not_answer_as_agreed(tmp_path: Path, code: str, says: str) -> None:
    """JOB_002, with what is known of it."""
    with pytest.raises(JobError) as caught:
        await run(tmp_path, code)
    assert caught.value.code is ErrorCode.JOB_FAILED
    assert says in caught.value.message


def test_what_is_passed_on() -> None:
    """How packages are reached: pip's variables, proxies, certificates. No setting of ours, no credential of another tool."""
    passed = {
        "PIP_INDEX_URL": "1",
        "PIP_FIND_LINKS": "2",
        "SSL_CERT_FILE": "3",
        "SSL_CERT_DIR": "4",
        "REQUESTS_CA_BUNDLE": "5",
        "CURL_CA_BUNDLE": "6",
        "https_proxy": "7",
        "HTTP_PROXY": "8",
        "no_proxy": "9",
    }
    kept = {"FUROSHIKI_VAULT__TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "pip_index_url": "x", "MY_PIP_TOKEN": "x"}
    assert passed_on({**passed, **kept, "FUROSHIKI_PROXY": "x"}) == passed

# SPDX-License-Identifier: Apache-2.0
"""A child that does the work of a job, as real processes: it tells how far it is, answers, refuses or breaks."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from registry_api.jobs.child import Program, answer_of
from registry_api.jobs.testing import RecordingTask, a_job

READ = "import json, pathlib, sys; spec = json.loads(pathlib.Path(sys.argv[1]).read_text())"
ANSWER = "pathlib.Path('answer.json').write_text"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    done: float

    @property
    def line(self) -> str:
        return f"at {self.done}"

    @property
    def now(self) -> str:
        return "working"


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    total: int


@pytest.fixture
def task() -> RecordingTask:
    return RecordingTask(job=a_job())


def program(code: str, *, answer_bytes: int = 1000) -> Program[Sum]:
    return Program(
        argv=(sys.executable, "-c", f"{READ}; {code}"),
        name="adding",
        step=Told,
        answer=Sum,
        answer_bytes=answer_bytes,
        span=(0.25, 0.75),
        environment={"ADD": "1"},
    )


async def test_a_child_answers_what_it_was_asked(tmp_path: Path, task: RecordingTask) -> None:
    """Its spec goes in, its answer comes out; steps move the share of the progress that is its own, lines are logged."""
    code = (
        "import os; print(json.dumps({'done': 0.5})); print('one line'); "
        + ANSWER
        + "(json.dumps({'total': sum(spec) + int(os.environ['ADD'])}))"
    )
    assert await answer_of(program(code), [1, 2, 3], tmp_path, task) == Sum(total=7)
    assert task.steps == [(0.5, "working")]
    assert task.lines == ["at 0.5", "one line"]


async def test_a_child_finds_the_packages_of_this_installation(tmp_path: Path, task: RecordingTask) -> None:
    """Though it works elsewhere."""
    code = "import core.errors; " + ANSWER + "('{\"total\": 1}')"
    assert await answer_of(program(code), [], tmp_path, task) == Sum(total=1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (ANSWER + '(\'{"error": {"code": "MODEL_003", "message": "no model"}}\'); sys.exit(3)', "MODEL_003: no model"),
        ("print('too much'); sys.exit(9)", "The adding process ended with status 9: too much"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("pass", "gave no usable answer"),
        (ANSWER + '(\'{"total": "many"}\')', "gave no usable answer"),
        (ANSWER + "('[' * 900)", "gave no usable answer"),
        (ANSWER + "('{\"total\": 1}'); sys.exit(3)", "gave no usable answer"),
        (ANSWER + "('{\"total\": 1' + ' ' * 1000 + '}')", "gave no usable answer"),
    ],
    ids=["refuses", "fails", "dies", "says nothing", "lies", "nests", "contradicts itself", "says too much"],
)
async def test_a_child_without_a_usable_answer_fails_its_job(
    tmp_path: Path, task: RecordingTask, code: str, words: str
) -> None:
    """JOB_002 with its reason, or the last that it printed."""
    with refused(ErrorCode.JOB_FAILED, words):
        await answer_of(program(code), [], tmp_path, task)

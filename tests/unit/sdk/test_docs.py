# SPDX-License-Identifier: Apache-2.0
"""What the documents show works, and the command-line page is that of the code."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furoshiki.cli import furo
from furoshiki.testing import API_KEY, FakeService, loopback

ROOT = Path(__file__).parents[3]
README = ROOT / "sdk" / "README.md"
GUIDE = ROOT / "docs" / "how-to" / "use-the-sdk.md"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def surroundings(tmp_path: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the documents assume: a running Furoshiki, a key, some files, in an empty directory."""
    service.serve_model(
        "digits", lambda inputs: {"label": np.zeros(len(inputs["X"]), dtype=np.int64)}, inputs={"X": ("FP32", [-1, 64])}
    )
    (tmp_path / "digits.onnx").write_bytes(b"a model")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/digits.onnx").write_bytes(b"a model")
    (tmp_path / "key.txt").write_text(API_KEY)
    np.save(tmp_path / "rows.npy", np.zeros((2, 64), dtype=np.float32))
    monkeypatch.chdir(tmp_path)
    with loopback(service) as url:
        service.operations.deployment_url = url
        monkeypatch.setenv("FUROSHIKI_URL", url)
        monkeypatch.setenv("FUROSHIKI_INFERENCE_URL", url)
        monkeypatch.setenv("FUROSHIKI_API_KEY", API_KEY)
        yield tmp_path


@pytest.mark.usefixtures("surroundings")
def test_python_of_the_readme_runs() -> None:
    """Every Python block of the README runs, in order, in one session."""
    session: dict[str, object] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks(README, "python"):
            exec(compile(block, str(README), "exec"), session)
    for expected in ("acme/digits@1 sha256:", "100% done", "['digits']", "MODEL_001", "SIGN_004", "[2. 2. 2.]"):
        assert expected in printed.getvalue()


@pytest.mark.usefixtures("surroundings")
def test_commands_of_the_readme_run() -> None:
    """Every ``furo`` line of the README succeeds, in order."""
    lines = [line.removeprefix("$ ") for block in blocks(README, "console") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("furo ")]
    assert len(commands) >= 9
    for line in commands:
        text, _, target = line.partition(" > ")
        result = CliRunner().invoke(furo, shlex.split(text)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
        if target:
            Path(target).write_text(result.stdout)


def test_python_of_the_guide_runs(surroundings: Path) -> None:
    """Every Python block of the how-to page runs."""
    from furoshiki import Client

    with Client() as client:
        for _ in range(2):
            client.models.push("digits", "digits.onnx")
        (surroundings / "trust.json").write_bytes(client.trust().to_bytes())
    session: dict[str, object] = {}
    *first, last = blocks(GUIDE, "python")
    with contextlib.redirect_stdout(io.StringIO()):
        for block in first:
            exec(compile(block, str(GUIDE), "exec"), session)
        with Client() as client:
            client.versions.download("digits", 3, "bundle")
        exec(compile(last, str(GUIDE), "exec"), session)
    assert session["verified"]


def test_the_command_line_page_is_current() -> None:
    """``docs/reference/cli.md`` is what ``docs/generate_cli.py`` writes."""
    script = runpy.run_path(str(ROOT / "docs" / "generate_cli.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run: python docs/generate_cli.py"

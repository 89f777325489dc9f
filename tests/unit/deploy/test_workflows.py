# SPDX-License-Identifier: Apache-2.0
"""The workflows are well formed and safe as far as a program can tell, and call what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.manifests import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[a-z0-9-]+/[a-z0-9-]+@[0-9a-f]{40}")


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())["jobs"]
    return found


def test_zizmor_finds_nothing() -> None:
    """Its pedantic rules, offline."""
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--quiet", "--persona=pedantic"]
    ran = subprocess.run([*command, str(ROOT / ".github")], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout


def test_they_fit_their_schema() -> None:
    """The schema of GitHub's workflows accepts them."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    ran = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_and_rights_are_few(file: Path) -> None:
    """Actions by full commit with their version beside it; no right unless a job names it."""
    used = re.findall(r"uses: (\S+)(?: # (v\S+))?$", file.read_text(), re.MULTILINE)

    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for action, version in used:
        assert action.startswith("./.github/workflows/") or (PINNED.fullmatch(action) and version)
    for name, job in jobs(file).items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job or "uses" in job, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_they_call_exists(file: Path) -> None:
    """Targets of make, scripts, workflows and test folders are there."""
    text = file.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {word for line in re.findall(r"\bmake ([a-z ]+)$", text, re.MULTILINE) for word in line.split()}
    paths = re.findall(
        r"(?<![\w/])(\.github/(?:scripts|workflows)/\S+?\.(?:sh|yml)|tests/[a-z/]+|deploy/[a-z/]+\.(?:yaml|txt))", text
    )

    assert called <= targets
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_what_is_deployed_was_verified() -> None:
    """Staging and release run the tests first, and verify the images before they name them."""
    for name in ("staging.yml", "release.yml"):
        every = jobs(ROOT / ".github" / "workflows" / name)
        last = list(every.values())[-1]
        steps = [step.get("run", "") for step in last["steps"]]
        verified = next(at for at, run in enumerate(steps) if "verify.sh" in run)
        assert every["images"]["needs"] == "ci"
        assert last["needs"] == "images"
        assert not any("deploy.gitops" in run or "release create" in run for run in steps[:verified])

# SPDX-License-Identifier: Apache-2.0
"""systemd itself reads the units, without a complaint, and finds them well closed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[4] / "deploy" / "systemd"
SERVICES = ("furoshiki-registry.service", "furoshiki-worker.service", "furoshiki-inference.service")
TARGETS = Path("/usr/lib/systemd/system")
EXPOSURE = "20"  # tenths; systemd calls what is below 4.0 "OK" and a unit without any of this 9.6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the units, systemd's own targets, and a program where ours would be."""
    root = tmp_path_factory.mktemp("root")
    own, theirs, programs = (
        root / "etc/systemd/system",
        root / "usr/lib/systemd/system",
        root / "opt/furoshiki/.venv/bin",
    )
    for folder in (own, theirs, programs):
        folder.mkdir(parents=True)
    for file in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        shutil.copy(file, own)
    for file in TARGETS.glob("*.target"):
        shutil.copy(file, theirs)
    shutil.copy("/bin/true", programs / "python")
    return root


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False)


def test_every_directive_is_known(root: Path) -> None:
    """`systemd-analyze verify` accepts units and target and prints nothing."""
    ran = analyze("verify", "--man=no", f"--root={root}", "furoshiki.target", *SERVICES)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_misspelt_directive_would_be_seen(root: Path, tmp_path: Path) -> None:
    """The check above can fail."""
    copy = shutil.copytree(root, tmp_path / "root")
    unit = copy / "etc/systemd/system" / SERVICES[0]
    unit.write_text(unit.read_text().replace("KillMode=", "KillMod="))

    assert "Unknown key" in analyze("verify", "--man=no", f"--root={copy}", SERVICES[0]).stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_it_is_closed(unit: str, root: Path) -> None:
    """`systemd-analyze security` rates the exposure below 2.0."""
    ran = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", f"--root={root}", unit)

    assert ran.returncode == 0, ran.stdout

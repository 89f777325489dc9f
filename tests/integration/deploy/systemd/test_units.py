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
EXPOSURE = "15"  # tenths; systemd calls what is below 4.0 "OK" and a unit without any of this 9.6


def unit(name: str) -> dict[str, str]:
    """The directives of a unit; of one that is given several times, the last."""
    lines = (UNITS / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


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
    """`systemd-analyze security` rates the exposure at most 1.5."""
    ran = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", f"--root={root}", unit)

    assert ran.returncode == 0, ran.stdout


def test_units_that_start_bentoml_may_ask_for_interfaces() -> None:
    """ZeroMQ, by which BentoML watches its processes, aborts where it may not open a netlink socket."""
    families = {name: unit(name)["RestrictAddressFamilies"].split() for name in SERVICES}

    assert {name: "AF_NETLINK" in allowed for name, allowed in families.items()} == {
        "furoshiki-registry.service": False,
        "furoshiki-worker.service": True,
        "furoshiki-inference.service": True,
    }


def test_the_next_worker_finds_what_this_one_deployed() -> None:
    """It goes on when the worker ends, and stays in the user namespace of the machine, where the next one may look at it."""
    worker = unit("furoshiki-worker.service")

    assert (worker["KillMode"], worker.get("PrivateUsers")) == ("process", None)


def test_the_inference_service_waits_for_its_key() -> None:
    """However it ends it is started again, more often than a slow first start of the registry takes."""
    inference = unit("furoshiki-inference.service")
    tried_for = int(inference["RestartSec"]) * int(inference["StartLimitBurst"])

    assert inference["Restart"] == "always"
    assert 240 <= tried_for <= int(inference["StartLimitIntervalSec"])

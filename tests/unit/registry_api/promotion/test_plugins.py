# SPDX-License-Identifier: Apache-2.0
"""Gates of other distributions: they judge, or nothing passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_api.promotion.plugins import GROUP, gate_plugins, judge
from tests.distributions import installed
from tests.unit.registry_api.promotion.test_gates import findings

CODE = """
    class Plugin:
        port = 1
        name = "measured"
        def is_available(self):
            return None
        def unmet(self, findings):
            return None if findings.measured else "It was never measured. Tune it."
"""


def test_it_judges_by_the_findings(tmp_path: Path) -> None:
    """What it says is what lacks; None: it is met."""
    with installed(tmp_path, group=GROUP, module="measured_gate", code=CODE):
        known = gate_plugins()
    assert judge("measured", known, findings()) == "It was never measured. Tune it."
    assert judge("measured", known, findings(measured={"p50_ms": 1.0})) is None


def test_what_is_not_installed_is_not_met() -> None:
    """A gate that went away closes the way."""
    assert str(judge("measured", {}, findings())).startswith("No gate 'measured' is installed.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("return None\n", "return 'no licence'\n"), "cannot judge: no licence"),
        (("findings.measured", "findings.no_such_thing"), "failed: AttributeError"),
        (("findings.measured", "exit(0)"), "failed: SystemExit"),
    ],
)
def test_one_that_cannot_judge_is_not_met(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """Whether it says so or fails."""
    with installed(tmp_path, group=GROUP, module="measured_gate", code=CODE.replace(*change, 1)):
        known = gate_plugins()
    assert reason in str(judge("measured", known, findings()))

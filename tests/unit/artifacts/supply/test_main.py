# SPDX-License-Identifier: Apache-2.0
"""``python -m artifacts.supply verify`` of a layout: what it prints, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from artifacts.oci.layout import Layout
from artifacts.supply.__main__ import main
from artifacts.supply.testing import Described, make_image, put_image
from artifacts.testing import FILES


@pytest.fixture
def described(tmp_path: Path) -> Described:
    made = make_image(tmp_path / "layout", converted=True)
    (tmp_path / "trust.json").write_bytes(made.policy.to_bytes())
    return made


def verify(layout: Layout, *options: str) -> Result:
    """Runs the command on a layout beside the policy."""
    policy = layout.root.parent / "trust.json"
    return CliRunner().invoke(main, ["verify", str(layout.root), "--policy", str(policy), *options])


def refusal(result: Result) -> str:
    """The code of a refusal, which is one line of JSON."""
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    said = json.loads(result.stderr.strip().splitlines()[-1])
    assert said.keys() == {"code", "message"}
    return str(said["code"])


def test_the_chain_is_printed(described: Described) -> None:
    """A line for each step, as JSON too."""
    assert verify(described.layout).stdout.splitlines() == list(described.verify().lines())
    told = json.loads(verify(described.layout, "--json").stdout)
    assert told["image"] == described.image.digest
    assert [step["variant"] for step in told["chain"]] == ["onnx-int8/cpu", "onnx-int8/cpu", "onnx-fp32/cpu"]
    assert {file["path"] for file in told["uploaded"]} == set(FILES)


@pytest.mark.parametrize(
    ("expect", "code"), [("digits@3", None), ("digits", None), ("digits@4", "IMAGE_007"), ("wine", "IMAGE_007")]
)
def test_what_is_expected_must_be_inside(described: Described, expect: str, code: str | None) -> None:
    """Another version or model is refused, however validly it is signed."""
    result = verify(described.layout, "--expect", expect)
    assert (None if result.exit_code == 0 else refusal(result)) == code


@pytest.mark.parametrize("expect", ["Digits", "digits@0", "digits@", "@3"])
def test_an_expectation_that_is_none_is_refused(described: Described, expect: str) -> None:
    """Before anything is read."""
    assert refusal(verify(described.layout, "--expect", expect)) == "VALID_002"


def test_another_tenant_trusts_none_of_it(described: Described, tmp_path: Path) -> None:
    """A policy that knows no such key, and one that is none."""
    other = make_image(tmp_path / "other")
    (tmp_path / "trust.json").write_bytes(other.policy.to_bytes())
    assert refusal(verify(described.layout)) == "SIGN_003"
    (tmp_path / "trust.json").write_bytes(b"{}")
    assert refusal(verify(described.layout)) == "SIGN_003"


def test_an_image_without_anything_beside_it_is_not_signed(described: Described, tmp_path: Path) -> None:
    """SIGN_001; so a missing chain does not hide it."""
    bare = Layout.create(tmp_path / "bare")
    put_image(bare, [])
    assert refusal(verify(bare)) == "SIGN_001"


def test_a_folder_that_is_no_layout_is_refused(described: Described, tmp_path: Path) -> None:
    """With the code of what is missing."""
    (tmp_path / "empty").mkdir()
    assert refusal(verify(Layout(tmp_path / "empty"))) == "SIGN_006"
    assert refusal(verify(Layout(tmp_path / "nowhere"))) == "VALID_002"

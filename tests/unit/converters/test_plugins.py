# SPDX-License-Identifier: Apache-2.0
"""Recipes of other distributions in the catalogue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from converters.plugins import GROUP, offered, usable
from tests.distributions import installed, lay_out

ROOT = Path(__file__).resolve().parents[3]
CODE = """
    class Copy:
        name = "keras_to_onnx_by_hand"
        kind = "convert"
        source = "keras"
        target = "onnx"
        precision = None
        dynamic_batch = True
        cost_s = 0.1
        needs = ()
        def available(self):
            return None
        def convert(self, source, target, options):
            (target / "model.onnx").write_bytes(b"")

    class Plugin:
        port = 1
        name = "by-hand"
        def is_available(self):
            return None
        def recipes(self):
            return [Copy()]
"""


def test_its_recipes_are_part_of_the_catalogue(tmp_path: Path) -> None:
    """The cheapest way from Keras to ONNX is the plugin's, and the list of this program says where it comes from."""
    lay_out(tmp_path, group=GROUP, module="by_hand", code=CODE)
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path))), "PATH": os.environ["PATH"]}
    arguments = [sys.executable, "-P", "-m", "converters", "list", "--json"]
    ended = subprocess.run(arguments, env=environment, capture_output=True, check=True, timeout=60)
    told = msgspec.json.decode(ended.stdout)
    (way,) = (each for each in told["routes"] if (each["source"], each["target"]) == ("keras", "onnx"))
    assert way["steps"] == ["keras_to_onnx_by_hand"]
    assert told["plugins"] == [{"name": "by-hand", "origin": "by_hand 1.0", "unavailable": None}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("keras_to_onnx_by_hand", "keras_to_saved_model"), "name 'keras_to_saved_model' is taken"),
        (('target = "onnx"', 'target = "coreml"'), "names the format 'coreml'"),
        (('kind = "convert"', 'kind = "quantize"'), "quantizes, but not"),
        (("return [Copy()]", "return [1]"), "its recipe 1 is none"),
        (("return [Copy()]", "raise OSError('gone')"), "OSError: gone"),
    ],
)
def test_one_that_offers_nonsense_is_disabled(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """None of its recipes is used."""
    with installed(tmp_path, group=GROUP, module="by_hand", code=CODE.replace(*change)):
        found = offered(["keras_to_saved_model"])
    assert [reason in str(each.reason) for each in found] == [True]
    assert usable(found) == ()


def test_one_that_is_not_available_offers_nothing(tmp_path: Path) -> None:
    """It keeps its reason."""
    with installed(
        tmp_path,
        group=GROUP,
        module="by_hand",
        code=CODE.replace("None\n        def recipes", "'no hands'\n        def recipes"),
    ):
        found = offered([])
    assert [each.reason for each in found] == ["no hands"]
    assert usable(found) == ()

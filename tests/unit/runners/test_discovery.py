# SPDX-License-Identifier: Apache-2.0
"""What ``python -m runners devices`` tells: everything that is there, and a reason for everything that is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from runners.discovery import as_text, discover
from runners.loading import backends

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_absent_has_a_reason(tmp_path: Path) -> None:
    """On a machine with nothing but a processor."""
    found = discover(backends(), sys=tmp_path)
    assert found["cpu"]["cores"] >= 1
    assert found["cpu"]["memory_bytes"] > 2**28
    for kind in ("edgetpu", "npu"):
        assert found[kind]["devices"] == []
        assert found[kind]["reason"]
    assert all(item["reason"] or Path(item["library"]).name for item in found["delegates"])


def test_accelerators_are_read_from_sysfs(tmp_path: Path) -> None:
    """Coral devices on PCIe and USB, and NPUs as the kernel lists them."""
    for folder in ("class/apex/apex_0", "class/accel/accel0", "bus/usb/devices/1-1", "bus/usb/devices/1-2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bus/usb/devices/1-1/idVendor").write_text("18d1\n")
    (tmp_path / "bus/usb/devices/1-1/idProduct").write_text("9302\n")
    (tmp_path / "bus/usb/devices/1-2/idVendor").write_text("18d1\n")
    found = discover(backends(), sys=tmp_path)
    assert found["edgetpu"] == {"devices": ["apex_0", "1-1"], "reason": None}
    assert found["npu"] == {"devices": ["accel0"], "reason": None}
    assert "apex_0, 1-1" in as_text(found)


def test_memory_and_what_is_hidden_are_told(tmp_path: Path) -> None:
    """Of each CUDA device; one that uses the host's memory says so."""
    found = discover(backends(), sys=tmp_path)
    card = {
        "index": 0,
        "name": "Card",
        "uuid": "GPU-1",
        "memory_bytes": 80 << 30,
        "free_bytes": 79 << 30,
        "visible": True,
    }
    board = {**card, "index": 1, "name": "Board", "memory_bytes": None, "free_bytes": None, "visible": False}
    found["cuda"] = {"driver": "580.65.06", "devices": [card, board], "reason": None}
    text = as_text(found)
    assert "0: Card, 79.0 of 80.0 GiB free, 1: Board, the host's memory, hidden from this process" in text


def test_the_command_prints_one_json_line() -> None:
    """Every runner is listed, available or with its reason."""
    command = [sys.executable, "-m", "runners", "devices"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert {runner["name"]: runner["reason"] for runner in answer["runners"]}["onnx-cpu"] is None
    assert set(answer) == {"cpu", "cuda", "edgetpu", "npu", "delegates", "runners"}
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "onnx-cpu" in text

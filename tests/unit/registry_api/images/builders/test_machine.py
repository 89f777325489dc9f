# SPDX-License-Identifier: Apache-2.0
"""Which architectures run here."""

from __future__ import annotations

from pathlib import Path

from registry_api.images.builders.machine import own_architecture, runs


def test_only_its_own_without_an_emulator(tmp_path: Path) -> None:
    """A machine runs itself, and nothing else that nobody emulates."""
    assert runs(own_architecture(), emulators=tmp_path)
    assert not runs({"amd64": "arm64", "arm64": "amd64"}[own_architecture()], emulators=tmp_path)
    assert not runs("s390x", emulators=tmp_path)


def test_what_the_kernel_has_an_emulator_for(tmp_path: Path) -> None:
    """It is registered under QEMU's name of the machine."""
    (tmp_path / "qemu-aarch64").touch()
    (tmp_path / "qemu-x86_64").touch()
    assert runs("arm64", emulators=tmp_path)
    assert runs("amd64", emulators=tmp_path)

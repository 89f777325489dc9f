# SPDX-License-Identifier: Apache-2.0
"""Versions: stages, references, downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, Conflict, InvalidRequest, NotFound, Progress, SignatureRefused, verify
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


def test_stage_moves_and_is_remembered(either: Either, client: Client, model_file: Path) -> None:
    """A stage change is in the version, in the model and, with its reason, in the history."""
    client.models.push("digits", model_file)
    client.versions.stage("digits", 1, "staging", reason="looks good")
    assert either(lambda one: one.versions.stage("digits", 1, "PRODUCTION", reason="0.97")).stage == "PRODUCTION"
    assert client.models.get("digits").production_version == 1
    history = either(lambda one: one.models.history("digits"))
    moves = [(change.from_stage, change.to_stage, change.reason) for change in history]
    assert moves == [("STAGING", "PRODUCTION", "0.97"), ("DEVELOPMENT", "STAGING", "looks good")]


def test_illegal_stage_is_a_conflict(either: Either, client: Client, model_file: Path) -> None:
    """A move that the registry does not allow is refused with its words."""
    client.models.push("digits", model_file)
    with pytest.raises(Conflict, match=r"STATE_001.*cannot go to PRODUCTION"):
        either(lambda one: one.versions.stage("digits", 1, "PRODUCTION", reason="r"))


def test_a_lost_answer_is_asked_for_with_the_same_key(client: Client, service: FakeService, model_file: Path) -> None:
    """A stage change that may have happened is sent again under one Idempotency-Key: it happens once."""
    client.models.push("digits", model_file)
    service.cut_next()
    assert client.versions.stage("digits", 1, "STAGING", reason="r").stage == "STAGING"
    sent = [call for call in service.calls if call.method == "PUT" and call.segments[-1] == "stage"]
    assert len(sent) == 2
    assert len({call.headers["idempotency-key"] for call in sent}) == 1
    assert len(list(client.models.history("digits"))) == 1


def test_reads_and_files_carry_no_key(client: Client, service: FakeService, model_file: Path) -> None:
    """Only writes that the registry must not do twice have an Idempotency-Key, each its own."""
    client.models.push("digits", model_file)
    client.models.get("digits")
    keyed = [call for call in service.calls if "idempotency-key" in call.headers]
    assert {call.method for call in keyed} == {"POST"}
    assert len({call.headers["idempotency-key"] for call in keyed}) == len(keyed) == 3


def test_resolve_prefers_production_then_newest(client: Client, model_file: Path) -> None:
    """A reference without version means production, else the newest; with one it means that one."""
    client.models.push("digits", model_file)
    client.models.push("digits", model_file)
    assert client.versions.resolve("digits").version == 2
    client.versions.stage("digits", 1, "STAGING", reason="r")
    client.versions.stage("digits", 1, "PRODUCTION", reason="r")
    assert client.versions.resolve("digits").version == 1
    assert client.versions.resolve("digits", 2).version == 2
    assert [version.version for version in client.versions.list("digits")] == [2, 1]
    with pytest.raises(NotFound, match="MODEL_001"):
        client.versions.get("digits", 9)


def test_download_is_the_signed_bundle(either: Either, client: Client, model_file: Path, tmp_path: Path) -> None:
    """What is downloaded is complete, verifies offline and holds the very bytes that were pushed."""
    client.models.push("digits", model_file)
    told: list[Progress] = []
    out = either(lambda one: one.versions.download("digits", 1, tmp_path / "a/b", progress=told.append))
    assert (out / "digits.onnx").read_bytes() == model_file.read_bytes()
    assert verify(out, client.trust(), model="digits", version=1).key_id == client.versions.get("digits", 1).key_id
    assert told[-1].done == told[-1].total == model_file.stat().st_size
    assert sorted(path.name for path in out.parent.iterdir()) == ["b"]


@pytest.mark.parametrize("path", ["digits.onnx", "manifest.json"])
def test_download_of_other_bytes_leaves_nothing(
    client: Client, service: FakeService, model_file: Path, tmp_path: Path, path: str
) -> None:
    """A download whose bytes are not the announced ones is refused, and nothing appears."""
    client.models.push("digits", model_file)
    bundle = service.registry.bundles[("digits", 1)]
    bundle[path] = b"!" + bundle[path][1:]
    with pytest.raises(SignatureRefused, match="SIGN_004"):
        client.versions.download("digits", 1, tmp_path / "out/x")
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("change", [b"", b"more"])
def test_download_of_another_length_is_refused(
    client: Client, service: FakeService, model_file: Path, tmp_path: Path, change: bytes
) -> None:
    """A file that is shorter or longer than signed is refused."""
    client.models.push("digits", model_file)
    bundle = service.registry.bundles[("digits", 1)]
    bundle["digits.onnx"] = bundle["digits.onnx"][:-1] if not change else bundle["digits.onnx"] + change
    with pytest.raises(SignatureRefused, match="SIGN_004"):
        client.versions.download("digits", 1, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_download_starts_a_cut_file_anew(
    either: Either, client: Client, service: FakeService, model_file: Path, tmp_path: Path
) -> None:
    """A connection that breaks inside a file costs one more attempt, not a wrong file."""
    client.models.push("digits", model_file)

    def cut_once(progress: Progress) -> None:
        if len(told) == 0:
            service.cut_next()
        told.append(progress)

    told: list[Progress] = []
    out = either(lambda one: one.versions.download("digits", 1, tmp_path / "x", progress=cut_once))
    assert (out / "digits.onnx").read_bytes() == model_file.read_bytes()


def test_download_overwrites_nothing(client: Client, model_file: Path, tmp_path: Path) -> None:
    """A directory with anything in it is left alone; an empty one is used."""
    client.models.push("digits", model_file)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/precious").touch()
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "full", model_file):
        with pytest.raises(InvalidRequest, match=r"CLIENT_004.*in the way"):
            client.versions.download("digits", 1, target)
    assert client.versions.download("digits", 1, tmp_path / "empty").is_dir()

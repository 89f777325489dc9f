# SPDX-License-Identifier: Apache-2.0
"""Stages, gates, approvals, aliases and history through the SDK and the command line, against the real registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from furoshiki import AuthError, Client, Conflict, verify_history
from furoshiki.cli import furo
from furoshiki.cli.exits import Exit


def pushed(client: Client, name: str, model_file: Path, versions: int = 2) -> None:
    for _ in range(versions):
        client.models.push(name, model_file)


def test_gates_approvals_and_a_rollback(registry: Any, client: Client, model_file: Path) -> None:
    """A refused promotion names what lacks; another person's approval meets it; a rollback is one call."""
    pushed(client, "governed", model_file)
    for version in (1, 2):
        client.versions.stage("governed", version, "STAGING", reason="candidate")
    client.versions.stage("governed", 1, "PRODUCTION", reason="first")
    try:
        client.gates.put("PRODUCTION", {"approvals": 1, "evaluation": True})
        with pytest.raises(Conflict, match="GATE_001"):
            client.versions.stage("governed", 2, "PRODUCTION", reason="hurry")
        client.gates.add_evidence("governed", 2, "evaluation", {"accuracy": 0.97})
        found = client.gates.readiness("governed", 2)
        assert ([lack.gate for lack in found.unmet], found.ready) == (["approvals"], False)
        with pytest.raises(AuthError):
            client.approvals.give("governed", 2, state=found.state)
        key = client.keys.create("approver", roles=["approver"])
        with Client(registry.url, api_key=key.key) as approver:
            approver.approvals.give("governed", 2, state=found.state, comment="fine")
        assert client.versions.stage("governed", 2, "PRODUCTION", reason="better").stage == "PRODUCTION"
        assert client.stages.rollback("governed", reason="slower").version == 1
    finally:
        client.gates.put("PRODUCTION", {})
    there = client.stages.production_at("governed", datetime.now(UTC) + timedelta(minutes=1))
    assert there.version == 1
    assert there.since is not None
    assert (there.since.cause, there.since.reason) == ("rollback", "slower")
    assert next(entry.action for entry in client.audit.list(resource="governed")) == "version.stage_changed"


def test_an_alias_is_moved_and_followed(client: Client, model_file: Path) -> None:
    """Whoever expects another version than it points at is told."""
    pushed(client, "aliased", model_file)
    client.aliases.move("aliased", "champion", 1, expected=None, reason="first")
    with pytest.raises(Conflict):
        client.aliases.move("aliased", "champion", 2, expected=None, reason="late")
    client.aliases.move("aliased", "champion", 2, expected=1, reason="better")
    assert client.versions.resolve("aliased", "champion").version == 2
    assert [(alias.alias, alias.version) for alias in client.aliases.list("aliased")] == [("champion", 2)]
    client.aliases.remove("aliased", "champion", expected=2, reason="over")
    assert list(client.aliases.list("aliased")) == []


def test_a_deprecated_version_tells_its_sunset(client: Client, model_file: Path) -> None:
    """And no more after it was taken back."""
    pushed(client, "old", model_file, 1)
    sunset = datetime(2099, 1, 1, tzinfo=UTC)
    marked = client.stages.deprecate("old", 1, reason="superseded", sunset=sunset, message="use 2")
    assert marked.deprecation is not None
    assert (marked.deprecation.sunset, marked.deprecation.message) == (sunset, "use 2")
    assert client.stages.restore("old", 1, reason="needed").deprecation is None


def _tampered(lines: list[bytes]) -> dict[str, tuple[list[bytes], int]]:
    """Exports that somebody changed, and the entry at which each shows."""
    place = next(at for at, line in enumerate(lines) if b"candidate" in line)
    seq = json.loads(lines[place])["seq"]
    entries = [at for at, line in enumerate(lines) if b'"document"' in line]
    last = json.loads(lines[entries[-1]])["seq"]
    swapped = list(lines)
    swapped[place], swapped[place + 1] = lines[place + 1], lines[place]
    unsigned = [line for line in lines if b'"bundle"' not in line]
    foreign = lines[place].replace(b'\\"tenant\\":\\"default\\"', b'\\"tenant\\":\\"globex\\"')
    return {
        "a byte": ([*lines[:place], lines[place].replace(b"candidate", b"candidatE"), *lines[place + 1 :]], seq),
        "removed": ([*lines[:place], *lines[place + 1 :]], seq),
        "twice": ([*lines[: place + 1], lines[place], *lines[place + 1 :]], seq),
        "reordered": (swapped, seq),
        "another tenant's": ([*lines[:place], foreign, *lines[place + 1 :]], seq),
        "cut off": (lines[: entries[-1]], last - 1),  # the first that no checkpoint vouches for any more
        "no signature": (unsigned, 1),
        "no header": (lines[1:], 0),
        "nonsense": ([*lines[:place], b"{\xff", *lines[place + 1 :]], seq),
    }


def test_history_is_verified_offline_and_tampering_is_located(client: Client, model_file: Path, tmp_path: Path) -> None:
    """A true export is intact; each of nine ways to change it shows at its place."""
    pushed(client, "audited", model_file, 1)
    before = client.audit.export(tmp_path / "before.jsonl").read_bytes().splitlines()
    client.versions.stage("audited", 1, "STAGING", reason="candidate")
    client.versions.stage("audited", 1, "PRODUCTION", reason="good")
    policy = client.trust()
    lines = client.audit.export(tmp_path / "history.jsonl").read_bytes().splitlines()
    verdict = verify_history(lines, policy, against=before)
    assert (verdict.findings, verdict.signed_seq) == ((), verdict.entries)
    for how, (changed, seq) in _tampered(lines).items():
        findings = verify_history(changed, policy, against=lines if how == "cut off" else ()).findings
        assert findings, how
        assert findings[0].seq == seq, (how, findings)


def test_furo_governs(registry: Any, client: Client, model_file: Path, tmp_path: Path) -> None:
    """The commands: alias, gates, history, audit; verify ends with 7 for a file that was changed."""
    pushed(client, "commanded", model_file, 1)
    environment = {"FUROSHIKI_URL": registry.url, "FUROSHIKI_API_KEY": registry.admin_key, "HOME": str(tmp_path)}

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(furo, words, env=environment)
        assert result.exit_code == code, result.output
        return result.stdout

    run("stage", "commanded@1", "STAGING", "--reason", "candidate")
    run("alias", "set", "commanded@champion", "1", "--reason", "first")
    assert json.loads(run("alias", "list", "commanded", "-o", "json"))[0]["version"] == 1
    run("deprecate", "commanded@1", "--reason", "old", "--sunset", "2099-01-01", "--message", "use 2")
    assert "use 2" in run("versions", "commanded@1")
    assert json.loads(run("gates", "check", "commanded@1", "-o", "json"))["ready"] is True
    run("stage", "commanded@1", "PRODUCTION", "--reason", "good")
    assert "commanded@1" in run("history", "commanded", "--at", "2098-01-01")
    run("rollback", "commanded", "--reason", "back", code=Exit.REQUEST)
    (tmp_path / "trust.json").write_text(run("trust"))
    export = tmp_path / "history.jsonl"
    run("audit", "export", str(export))
    checked = ("audit", "verify", "--file", str(export), "--policy", str(tmp_path / "trust.json"))
    assert "intact" in run(*checked)
    assert "intact" in run("audit", "verify", "--against", str(export))
    export.write_bytes(export.read_bytes().replace(b"candidate", b"candidatE", 1))
    assert "has hash" in run(*checked, code=Exit.SIGNATURE)
    run("audit", "verify", "--file", str(export), code=Exit.USAGE)

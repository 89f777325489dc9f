# SPDX-License-Identifier: Apache-2.0
"""Verifies an exported history against a trust policy, without any network: believes neither registry nor file.

The export is JSON lines: a header, every entry with its hash, and checkpoints: Sigstore bundles around in-toto statements
whose subject ``<tenant>/history@<seq>`` has the entry's hash as digest. An entry's hash is the SHA-256 of its document, RFC
8785 canonical JSON that names the hash of the entry before it. Entries after the last checkpoint are bound to those before
by their hashes alone; an export ends with a checkpoint, so a missing one is a finding.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import rfc8785

from furoshiki.bundle.envelope import pae
from furoshiki.bundle.policy import TrustPolicy

FORMAT: Final = "furoshiki-audit/v1"
GENESIS: Final = "sha256:" + "0" * 64
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://furoshiki.dev/audit-checkpoint/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One place where a history does not fit."""

    seq: int  # the entry; 0: the export as a whole
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What the verification of a history came to."""

    tenant: str
    entries: int
    checkpoints: int  # signatures that vouch for it
    signed_seq: int  # the last entry that one vouches for; 0: none
    head: str  # hash of the last entry
    findings: tuple[AuditFinding, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether history is what was written and signed."""
        return not self.findings


class _Line(msgspec.Struct):
    format: str | None = None
    tenant: str | None = None
    seq: int | None = None
    hash: str = ""
    document: str = ""
    checkpoint: int | None = None
    bundle: str = ""


def verify_history(lines: Iterable[bytes], policy: TrustPolicy, *, against: Iterable[bytes] = ()) -> AuditVerdict:
    """Recomputes an exported history.

    Args:
        lines: The export.
        policy: What the tenant trusts, obtained beforehand.
        against: An earlier export: the history must go on from where that ended.

    Returns:
        The verdict; whatever does not fit is a finding, and no export makes this raise.
    """
    chain = _Chain(policy)
    for number, line in enumerate(lines, start=1):
        chain.take(number, line)
    chain.end(_last(against))
    return chain.verdict()


class _Chain:
    """Goes along an export."""

    def __init__(self, policy: TrustPolicy) -> None:
        self._policy = policy
        self._hashes: dict[int, str] = {}  # of entries, as stated
        self._ends = {GENESIS}  # what the next entry may name: stated and computed
        self._seq = self._signed = self._checkpoints = 0
        self._headed = False
        self._findings: list[AuditFinding] = []

    def take(self, number: int, line: bytes) -> None:
        """Checks the next line."""
        try:
            found = msgspec.json.decode(line, type=_Line)
            canonical = rfc8785.dumps(json.loads(line)) == line.rstrip(b"\n")
        except (ValueError, RecursionError, rfc8785.CanonicalizationError):
            self._find(self._seq + 1, f"line {number} of the export cannot be read")
            return
        if not canonical:
            self._find(found.seq or self._seq, f"line {number} of the export is not canonical JSON")
        if number == 1:
            self._header(found)
        elif found.checkpoint is not None:
            self._checkpoint(found.checkpoint, found.bundle)
        else:
            self._entry(found.seq or 0, found.hash, found.document.encode())

    def _header(self, line: _Line) -> None:
        self._headed = line.format == FORMAT
        if not self._headed:
            self._find(0, f"the export is of format {line.format!r}; expected {FORMAT!r}")
        elif line.tenant != self._policy.tenant:
            self._find(0, f"the export is of tenant {line.tenant!r}; the policy is of {self._policy.tenant!r}")

    def _entry(self, seq: int, stated: str, document: bytes) -> None:
        if seq > self._seq + 1:
            self._find(self._seq + 1, f"entries {self._seq + 1} to {seq - 1} are missing")
        elif seq != self._seq + 1:
            self._find(seq, "it is out of order")
        computed = "sha256:" + hashlib.sha256(document).hexdigest()
        if computed != stated:
            self._find(seq, f"its document has hash {computed}; expected {stated}")
        self._document(seq, document)
        self._hashes[seq] = stated
        self._ends = {stated, computed}
        self._seq = seq

    def _document(self, seq: int, document: bytes) -> None:
        try:
            entry: Any = json.loads(document)
            claimed = entry["tenant"], entry["seq"], entry["previous"]
            canonical = rfc8785.dumps(entry) == document
        except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError):
            self._find(seq, "its document is malformed")
            return
        if not canonical:
            self._find(seq, "its document is not canonical JSON")
        if claimed[0] != self._policy.tenant:
            self._find(seq, f"it is an entry of tenant {claimed[0]!r}")
        if claimed[1] != seq:
            self._find(seq, f"its document says that it is entry {claimed[1]!r}")
        if claimed[2] not in self._ends:
            self._find(seq, "it does not follow the entry before it: one was inserted, moved, removed or rewritten")

    def _checkpoint(self, seq: int, bundle: str) -> None:
        fault = self._fault(seq, bundle)
        if fault is None:
            self._checkpoints += 1
            self._signed = max(self._signed, seq)
        else:
            self._find(
                seq,
                f"its checkpoint does not vouch for it: {fault}; something after entry {self._signed} was rewritten",
            )

    def _fault(self, seq: int, bundle: str) -> str | None:
        try:
            envelope = json.loads(bundle)["dsseEnvelope"]
            [signature] = envelope["signatures"]
            payload = base64.b64decode(envelope["payload"], validate=True)
            signed = base64.b64decode(signature["sig"], validate=True)
            key_id = str(signature["keyid"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return "it is malformed"
        key = next((key for key in self._policy.keys if key.key_id == key_id), None)
        if key is None or key_id in self._policy.revoked_keys:
            return f"its key {key_id[:64]} is {'revoked' if key is not None else 'not trusted'}"
        if not key.verifies(signed, pae(payload)):
            return "its signature does not match what it covers"
        return None if payload == self._payload(seq) else "it vouches for another hash or entry"

    def _payload(self, seq: int) -> bytes:
        digest = self._hashes.get(seq, "").removeprefix("sha256:")
        subject: Any = {"name": f"{self._policy.tenant}/history@{seq}", "digest": {"sha256": digest}}
        return rfc8785.dumps(
            {"_type": _STATEMENT, "subject": [subject], "predicateType": _PREDICATE, "predicate": {"seq": seq}}
        )

    def end(self, before: tuple[int, str] | None) -> None:
        """Checks where the history ends, and that it goes on from an earlier export."""
        if not self._headed:
            self._find(0, "the export has no header")
        if self._signed < self._seq:
            self._find(
                self._signed + 1,
                "no signature vouches for this entry and what follows: cut off or forged",
            )
        if before is not None and self._hashes.get(before[0]) != before[1]:
            gone = "is not there" if before[0] not in self._hashes else "has another hash"
            self._find(before[0], f"the earlier export ends with this entry; here it {gone}")

    def verdict(self) -> AuditVerdict:
        """What it came to."""
        return AuditVerdict(
            tenant=self._policy.tenant,
            entries=len(self._hashes),
            checkpoints=self._checkpoints,
            signed_seq=self._signed,
            head=self._hashes.get(self._seq, GENESIS),
            findings=tuple(sorted(self._findings, key=lambda finding: finding.seq)),
        )

    def _find(self, seq: int, problem: str) -> None:
        self._findings.append(AuditFinding(seq=seq, problem=problem))


def _last(lines: Iterable[bytes]) -> tuple[int, str] | None:
    """Number and hash of an export's last entry."""
    last = None
    for line in lines:
        try:
            found = msgspec.json.decode(line, type=_Line)
        except ValueError:
            continue
        if found.seq is not None:
            last = found.seq, found.hash
    return last

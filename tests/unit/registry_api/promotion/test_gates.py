# SPDX-License-Identifier: Apache-2.0
"""Gates: what is asked for, what is known, what lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_api.http.access import Role
from registry_api.models.cards.values import Card
from registry_api.promotion.freezes import Interval
from registry_api.promotion.gates import OPEN, Budget, Findings, Gate, Gates, evaluate
from registry_api.promotion.values import Approval

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)  # a Friday


def approval(who: str) -> Approval:
    return Approval(
        id=1,
        model="digits",
        version=1,
        target="PRODUCTION",
        digest="sha256:00",
        approver=who,
        approver_key=who,
        comment="",
        at=NOW,
        withdrawn_at=None,
    )


def findings(**known: Any) -> Findings:
    nothing = Findings(
        now=NOW,
        state="sha256:00",
        signature_fault=None,
        documents={},
        faults={},
        measured={},
        card=None,
        approvals=(),
        author_key="author",
        mover_key="mover",
        mover_roles=frozenset({Role.MODEL_ADMIN}),
    )
    return replace(nothing, **known)


FREEZE = Interval(start=NOW, end=NOW + timedelta(days=1), reason="sale")
CASES: list[tuple[Gate, Gates, dict[str, Any], str, dict[str, Any]]] = [
    (Gate.SIGNATURE, Gates(signature=True), {"signature_fault": "revoked."}, "revoked", {"signature_fault": None}),
    (Gate.PARITY, Gates(parity=True), {}, "no parity evidence", {"documents": {"parity": {"passed": True}}}),
    (
        *(Gate.PARITY, Gates(parity=True), {"documents": {"parity": {"passed": False}}}, "did not pass"),
        {"documents": {"parity": {"passed": True}}},
    ),
    (
        *(Gate.PARITY, Gates(parity=True), {"faults": {"parity": "forged."}}, "forged"),
        {"documents": {"parity": {"passed": True}}},
    ),
    (Gate.EVALUATION, Gates(evaluation=True), {}, "no evaluation", {"documents": {"evaluation": {}}}),
    (
        *(Gate.LATENCY, Gates(latency=Budget(p99_ms=5)), {"measured": {"p99_ms": 5.1}}, "at most 5"),
        {"measured": {"p99_ms": 5}},
    ),
    (Gate.LATENCY, Gates(latency=Budget(p50_ms=5)), {}, "was not measured", {"measured": {"p50_ms": 1}}),
    (
        *(Gate.LATENCY, Gates(latency=Budget(rows_per_s=100)), {"measured": {"rows_per_s": 99}}, "at least 100"),
        {"measured": {"rows_per_s": 100}},
    ),
    (Gate.SBOM, Gates(sbom=True), {}, "no sbom evidence", {"documents": {"sbom": {}}}),
    (
        *(Gate.CARD, Gates(card_fields=("intended_use",)), {}, "lacks intended_use"),
        {"card": Card(tenant="t", model="digits", version=1, fields={"intended_use": "digits"})},
    ),
    (
        *(Gate.APPROVALS, Gates(approvals=2), {"approvals": (approval("a"), approval("a"))}, "1 of 2"),
        {"approvals": (approval("a"), approval("b"))},
    ),
    (
        *(Gate.APPROVALS, Gates(approvals=1), {"approvals": (approval("author"),)}, "0 of 1"),
        {"approvals": (approval("mover"),)},
    ),
    (
        *(Gate.APPROVALS, Gates(approvals=1, mover_counts=False), {"approvals": (approval("mover"),)}, "0 of 1"),
        {"approvals": (approval("a"),)},
    ),
    (
        *(Gate.ROLES, Gates(roles=frozenset({Role.TENANT_ADMIN})), {}, "tenant-admin"),
        {"mover_roles": frozenset({Role.TENANT_ADMIN})},
    ),
    (Gate.FREEZE, Gates(freezes=(FREEZE,)), {}, "until 2026-01-03T12:00:00.000Z (sale)", {"now": FREEZE.end}),
]


@pytest.mark.parametrize(("gate", "gates", "known", "says", "met"), CASES)
def test_each_gate_says_what_lacks_and_is_met(
    gate: Gate, gates: Gates, known: dict[str, Any], says: str, met: dict[str, Any]
) -> None:
    """One unmet gate with its sentence; then none."""
    [lack] = evaluate(gates, findings(**known))
    assert (lack.gate, says in lack.message) == (gate, True), lack.message
    assert evaluate(gates, findings(**met)) == []


def test_every_gate_is_tried_and_gates_that_ask_for_nothing_are_met() -> None:
    """The table above leaves none out."""
    assert {case[0] for case in CASES} == set(Gate)
    assert evaluate(OPEN, findings(signature_fault="revoked")) == []

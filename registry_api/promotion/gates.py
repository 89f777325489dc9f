# SPDX-License-Identifier: Apache-2.0
"""What a version needs before it may enter a stage or get an alias, and what it lacks. Pure: values in, sentences out.

Rules. :func:`evaluate` names every gate that is not met, not the first one, and how to meet each. It knows neither database
nor clock: :mod:`registry_api.promotion.gathering` brings the findings. Nothing overrides the gate ``signature``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from artifacts.digest import Digest
from core.clock import rfc3339
from registry_api.http.access import Role
from registry_api.models.cards.values import Card, missing_fields
from registry_api.promotion.freezes import Freeze, frozen_until
from registry_api.promotion.values import Approval


class Gate(StrEnum):
    """The gates; the comment on each line is what meets them."""

    SIGNATURE = "signature"  # the manifest's signature verifies now and nothing of it is revoked
    PARITY = "parity"  # the newest parity report says that every variant answers as the source does
    EVALUATION = "evaluation"  # there is an evaluation report
    LATENCY = "latency"  # measured, and within the budget
    SBOM = "sbom"  # there is a bill of materials
    CARD = "card"  # the model card has the required fields
    APPROVALS = "approvals"  # enough other people approved this very state
    ROLES = "roles"  # the mover has one of the roles
    FREEZE = "freeze"  # no freeze window holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How fast a version must have been measured. None: that measure does not matter."""

    p50_ms: float | None = None  # at most
    p99_ms: float | None = None  # at most
    rows_per_s: float | None = None  # at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What one target asks for. The default asks for nothing."""

    signature: bool = False
    parity: bool = False
    evaluation: bool = False
    latency: Budget | None = None
    sbom: bool = False
    card_fields: tuple[str, ...] = ()
    approvals: int = 0  # by people who are not its author
    mover_counts: bool = True  # whether the one who moves it may be one of them
    roles: frozenset[Role] = frozenset()  # who may move; empty: whoever has the action
    freezes: tuple[Freeze, ...] = ()
    plugins: tuple[str, ...] = ()  # names of gates of other distributions
    override: bool = False  # whether a tenant admin may move it in an emergency


OPEN: Final = Gates()
"""The gates of a target that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known about a version at the moment of the move."""

    now: datetime
    state: Digest  # of everything an approval is given for
    signature_fault: str | None  # why it does not verify; None: it does, or nobody asked
    documents: Mapping[str, Mapping[str, Any]]  # newest verified evidence by kind
    faults: Mapping[str, str]  # why the newest evidence of a kind does not count
    measured: Mapping[str, float]  # p50_ms, p99_ms, rows_per_s of the newest report or tuning
    card: Card | None  # None: there is none
    approvals: tuple[Approval, ...]  # that stand for this state and target
    author_key: str  # who declared the files of the version
    mover_key: str  # who moves it
    mover_roles: frozenset[Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A gate that is not met."""

    gate: str  # a :class:`Gate`, or the name of one of another distribution
    message: str  # what is wrong and how to meet it


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far a version is from its target."""

    model: str
    version: int
    target: str
    gates: Gates
    findings: Findings
    unmet: tuple[Unmet, ...]


def evaluate(gates: Gates, findings: Findings) -> list[Unmet]:
    """Every gate that is not met, in the order of :class:`Gate`; an empty list: the version may move."""
    unmet = []
    for gate in Gate:
        message = _CHECKS[gate](gates, findings)
        if message is not None:
            unmet.append(Unmet(gate=gate, message=message))
    return unmet


def approvers(gates: Gates, findings: Findings) -> frozenset[str]:
    """The people whose approvals count: not the author, and not the mover unless the gates say so. Each counts once."""
    out = {findings.author_key} | (set() if gates.mover_counts else {findings.mover_key})
    return frozenset(approval.approver_key for approval in findings.approvals) - out


def _signature(gates: Gates, findings: Findings) -> str | None:
    if not gates.signature or findings.signature_fault is None:
        return None
    return f"The signature does not verify: {findings.signature_fault} Register the model again as a new version."


def _parity(gates: Gates, findings: Findings) -> str | None:
    if not gates.parity:
        return None
    missing = _missing("parity", findings)
    if missing is None and findings.documents["parity"].get("passed") is not True:
        return "The newest parity report did not pass. Repair the variants and add a report whose 'passed' is true."
    return missing


def _evaluation(gates: Gates, findings: Findings) -> str | None:
    return _missing("evaluation", findings) if gates.evaluation else None


def _sbom(gates: Gates, findings: Findings) -> str | None:
    return _missing("sbom", findings) if gates.sbom else None


def _missing(kind: str, findings: Findings) -> str | None:
    if kind in findings.faults:
        return f"The newest {kind} evidence does not count: {findings.faults[kind]} Add it again."
    if kind not in findings.documents:
        return f"There is no {kind} evidence. Add it: furo gates evidence MODEL@VERSION {kind} FILE.json"
    return None


def _latency(gates: Gates, findings: Findings) -> str | None:
    budget = gates.latency
    if budget is None:
        return None
    wanted = (
        ("p50_ms", budget.p50_ms, "at most"),
        ("p99_ms", budget.p99_ms, "at most"),
        ("rows_per_s", budget.rows_per_s, "at least"),
    )
    wrong = []
    for name, limit, sense in wanted:
        got = findings.measured.get(name)
        if limit is None or (got is not None and (got <= limit if sense == "at most" else got >= limit)):
            continue
        wrong.append(f"{name} {'was not measured' if got is None else f'is {got:g}'}; expected {sense} {limit:g}")
    if not wrong:
        return None
    return f"The latency budget is not kept: {', '.join(wrong)}. Run 'furo tune', or add a load report as latency evidence."


def _card(gates: Gates, findings: Findings) -> str | None:
    lacking = missing_fields(findings.card, gates.card_fields)
    if not lacking:
        return None
    return f"The model card lacks {', '.join(lacking)}. Fill them in."


def _approvals(gates: Gates, findings: Findings) -> str | None:
    got = len(approvers(gates, findings))
    if got >= gates.approvals:
        return None
    whose = "people other than its author" + ("" if gates.mover_counts else " and the one who moves it")
    return (
        f"It has {got} of {gates.approvals} approvals by {whose}. Ask for: furo approve MODEL@VERSION "
        "(an approval is void once evidence, card or gates change)."
    )


def _roles(gates: Gates, findings: Findings) -> str | None:
    if not gates.roles or gates.roles & findings.mover_roles:
        return None
    return f"Only {' or '.join(sorted(gates.roles))} may move this. Ask somebody with that role."


def _freeze(gates: Gates, findings: Findings) -> str | None:
    held = frozen_until(gates.freezes, findings.now)
    if held is None:
        return None
    until, reason = held
    return f"A freeze holds until {rfc3339(until)}{f' ({reason})' if reason else ''}. Move it afterwards."


_CHECKS: Final[Mapping[Gate, Callable[[Gates, Findings], str | None]]] = {
    Gate.SIGNATURE: _signature,
    Gate.PARITY: _parity,
    Gate.EVALUATION: _evaluation,
    Gate.LATENCY: _latency,
    Gate.SBOM: _sbom,
    Gate.CARD: _card,
    Gate.APPROVALS: _approvals,
    Gate.ROLES: _roles,
    Gate.FREEZE: _freeze,
}

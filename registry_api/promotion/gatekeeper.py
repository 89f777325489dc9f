# SPDX-License-Identifier: Apache-2.0
"""Lets a version into a stage, or under an alias, or says everything it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import AuthError, Conflict, ErrorCode
from registry_api.db.session import Database, Session
from registry_api.http.access import Action
from registry_api.http.auth import Principal, check
from registry_api.models.values import Version
from registry_api.promotion.gate_schemas import gates_of
from registry_api.promotion.gates import OPEN, Findings, Gate, Gates, Report, Unmet, approvers, evaluate
from registry_api.promotion.gathering import Attempt, Checked, Gatherer
from registry_api.promotion.plugins import GatePlugins, judge
from registry_api.promotion.repository import GatesRepository


class Gatekeeper:
    """Decides by the gates of the version's tenant.

    Args:
        db: Where the rules are.
        gatherer: Finds out what they are decided on.
        others: Gates of other distributions.
    """

    def __init__(self, db: Database, gatherer: Gatherer, others: GatePlugins) -> None:
        self._db = db
        self._gatherer = gatherer
        self.others = others

    async def check(self, version: Version, target: str) -> Checked | None:
        """What must be asked before the transaction; None if the target has no gates."""
        async with self._db.read(version.tenant) as session:
            rules = await GatesRepository(session, version.tenant).get(target)
        return None if rules is None else await self._gatherer.check(version)

    async def require_signature(self, version: Version) -> None:
        """Checks that the version's signature verifies now.

        Raises:
            Conflict: ``GATE_001`` if it does not.
        """
        checked = await self._gatherer.check(version)
        if checked.fault is not None:
            raise _unmet(version, "PRODUCTION", [Unmet(gate=Gate.SIGNATURE, message=checked.fault)])

    async def admit(
        self, session: Session, attempt: Attempt, checked: Checked | None, *, override: bool
    ) -> Mapping[str, Any]:
        """Checks that every gate is met; what it was decided on, for the history.

        Raises:
            Conflict: ``GATE_001`` with every unmet gate; ``STATE_001`` if gates were set meanwhile.
            AuthError: ``AUTH_003`` if the caller may not override, or the gates do not permit it.
        """
        rules = await GatesRepository(session, attempt.version.tenant).get(attempt.target)
        if rules is None:
            return {}
        if checked is None:
            raise Conflict(ErrorCode.STATE_CONFLICT, f"Gates of {attempt.target} were set meanwhile. Try again.")
        gates = gates_of(rules)
        findings = await self._gatherer.findings(session, attempt, gates, checked)
        unmet = self._unmet(gates, findings)
        if unmet:
            _check_override(attempt, gates, unmet, override=override)
        return _decided(gates, findings, unmet)

    async def check_mover(self, session: Session, principal: Principal, target: str) -> None:
        """Checks that the caller may move an alias: one with gates is protected.

        Raises:
            AuthError: ``AUTH_003`` if it may not.
        """
        rules = await GatesRepository(session, principal.tenant).get(target)
        if rules is None:
            return
        roles = gates_of(rules).roles
        if not roles:
            check(principal, Action.STAGES_PROMOTE)
        elif not roles & principal.roles:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                f"{principal.name!r} may not move {target}. One of these roles may: {', '.join(sorted(roles))}.",
                details={"roles": sorted(roles)},
            )

    async def report(self, session: Session, attempt: Attempt, checked: Checked) -> Report:
        """What the target asks for, what is known and what lacks, as things are now."""
        rules = await GatesRepository(session, attempt.version.tenant).get(attempt.target)
        gates = OPEN if rules is None else gates_of(rules)
        findings = await self._gatherer.findings(session, attempt, gates, checked)
        return Report(
            model=attempt.version.model,
            version=attempt.version.version,
            target=attempt.target,
            gates=gates,
            findings=findings,
            unmet=tuple(self._unmet(gates, findings)),
        )

    def _unmet(self, gates: Gates, findings: Findings) -> list[Unmet]:
        judged = ((name, judge(name, self.others, findings)) for name in gates.plugins)
        others = [Unmet(gate=name, message=message) for name, message in judged if message is not None]
        return [*evaluate(gates, findings), *others]

    async def checked(self, version: Version) -> Checked:
        """What :meth:`report` needs; asked before its transaction."""
        return await self._gatherer.check(version)


def _check_override(attempt: Attempt, gates: Gates, unmet: Sequence[Unmet], *, override: bool) -> None:
    """Checks that somebody who may do so overrides gates that permit it. The signature cannot be overridden."""
    if not override or not gates.override or any(lack.gate == Gate.SIGNATURE for lack in unmet):
        raise _unmet(attempt.version, attempt.target, unmet)
    check(attempt.mover, Action.STAGES_OVERRIDE)


def _unmet(version: Version, target: str, unmet: Sequence[Unmet]) -> Conflict:
    ref = f"{version.tenant}/{version.model}@{version.version}"
    listed = " ".join(f"[{lack.gate}] {lack.message}" for lack in unmet)
    return Conflict(
        ErrorCode.GATES_UNMET,
        f"Version {ref} does not meet {len(unmet)} gate{'s' * (len(unmet) != 1)} of {target}: {listed}",
        details={"unmet": [{"gate": lack.gate, "message": lack.message} for lack in unmet]},
    )


def _decided(gates: Gates, findings: Findings, overridden: Sequence[Unmet]) -> Mapping[str, Any]:
    counted = approvers(gates, findings)
    decided: dict[str, Any] = {
        "state": findings.state,
        "approvals": [
            {"approver": approval.approver, "approver_key": approval.approver_key, "at": approval.at.isoformat()}
            for approval in findings.approvals
            if approval.approver_key in counted
        ],
    }
    return decided | ({"overridden": [lack.gate for lack in overridden]} if overridden else {})

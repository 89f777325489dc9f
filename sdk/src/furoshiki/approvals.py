# SPDX-License-Identifier: Apache-2.0
"""Approvals: one person's yes to one state of a version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import API, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes."""

    id: int
    model: str
    version: int
    target: str  # "PRODUCTION", "@champion"
    state: str  # what was approved: a digest of version, evidence, card and gates
    approver: str
    approver_key: str
    comment: str = ""
    at: datetime
    withdrawn_at: datetime | None = None  # None: it stands


class Approvals(Resource[D]):
    """``client.approvals``."""

    @listing
    def list(self, model: str, version: int) -> Items[Approval]:
        """The approvals of a version, newest first, withdrawn ones too."""
        yield from self._api.pages(path("models", model, "versions", version, "approvals"), Approval)

    @operation
    def give(
        self, model: str, version: int, *, state: str, target: str = "PRODUCTION", comment: str = ""
    ) -> Steps[Approval]:
        """Approves what was looked at.

        Args:
            model: The model.
            version: Its version.
            state: From :meth:`furoshiki.gates.Gates.readiness`: what was looked at.
            target: A stage, or an alias such as ``@champion``.
            comment: For the history.

        Raises:
            AuthError: ``AUTH_003`` if you registered the version yourself.
            Conflict: ``STATE_001`` if evidence, card or gates changed since.
        """
        fields = {"target": target, "state": state, "comment": comment}
        request = json_request("POST", path("models", model, "versions", version, "approvals"), fields)
        return (yield from self._api.fetch(request, Approval))

    @operation
    def withdraw(self, model: str, version: int, approval: int) -> Steps[Approval]:
        """Takes one's own approval back.

        Raises:
            NotFound: ``GATE_002`` if the version has no such approval.
        """
        where = path("models", model, "versions", version, "approvals", approval)
        return (yield from self._api.fetch(Request(method="DELETE", path=API + where), Approval))

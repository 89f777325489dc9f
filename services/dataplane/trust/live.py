# SPDX-License-Identifier: Apache-2.0
"""Whom a tenant trusts, from two sources: the files an operator pinned, and the registry.

The file decides who is trusted. The registry's policy can only take away from it: keys and digests it has revoked, and time.
So a registry in wrong hands can stop a pinned server, which it could by not answering as well, but never make it execute what
the pinned key did not sign; that is why its policy needs no signature. Only where the operator said ``supply``, and only for
tenants without a file, the registry's policy is the trust itself.

Both sources only move forwards, see :mod:`artifacts.signing.standing`. While the registry cannot be reached, what it said
last stays in force, also after a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from artifacts.keys.file import FileTrust
from artifacts.signing.policy import TrustPolicy
from artifacts.signing.standing import check_standing, tightened
from core.clock import Clock
from core.errors import FuroshikiError, SignatureError
from core.telemetry.logs import get_logger
from runners.cache import LoadedModel
from services.dataplane.trust.seen import SeenPolicies

Ask: TypeAlias = Callable[[str], Awaitable[TrustPolicy]]

log = get_logger(__name__)


class LiveTrust:
    """The trust of every tenant as it is now.

    Args:
        pinned: The operator's files.
        seen: What was seen before.
        clock: For validity and for the age of the registry's answers; its ``now`` never goes back.
        ask: Asks the registry for a tenant's policy; None: it is not asked.
        supply: Whether the registry's policy is the trust of tenants without a file.
        fresh_s: Seconds an answer of the registry is used without asking again.
    """

    def __init__(
        self,
        pinned: FileTrust,
        seen: SeenPolicies,
        *,
        clock: Clock,
        ask: Ask | None = None,
        supply: bool = False,
        fresh_s: float = 1.0,
    ) -> None:
        self._pinned = pinned
        self._seen = seen
        self._clock = clock
        self._ask = ask
        self._supply = supply
        self._fresh_s = fresh_s
        self._asked: dict[str, float] = {}  # on the monotonic clock

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now.

        Raises:
            SignatureError: ``SIGN_003`` if there is none or it cannot be read.
        """
        theirs = None if self._ask is None else self._seen.last("registry", tenant)
        if theirs is not None and self._supply and not self._pinned.has(tenant):
            return theirs
        own = self._own(tenant)
        return own if theirs is None else tightened(own, theirs)

    async def refresh(self, tenant: str) -> None:
        """Asks the registry, unless it just was. Whatever goes wrong there, what it said last stays in force."""
        now = self._clock.monotonic()
        if self._ask is None or now < self._asked.get(tenant, float("-inf")) + self._fresh_s:
            return
        try:
            self._seen.accept("registry", await self._ask(tenant))
            self._asked[tenant] = now
        except FuroshikiError as error:
            log.warning("trust_not_refreshed", tenant=tenant, code=error.code, reason=error.message)

    def check(self, model: LoadedModel) -> None:
        """Checks that a loaded model may still be used.

        Raises:
            SignatureError: ``SIGN_009`` if its key or anything it was made of was revoked, ``SIGN_003`` if its key is not
                trusted any more, ``SIGN_008`` if the key's validity is over.
        """
        policy = self.policy(model.tenant)
        check_standing(policy, key_id=model.key_id, covered=model.covered, now=self._clock.now())

    def refused(self, models: Sequence[LoadedModel]) -> list[LoadedModel]:
        """Those of some loaded models that may no longer be used."""
        found = []
        for model in models:
            try:
                self.check(model)
            except SignatureError as error:
                log.error(
                    "model_withdrawn", model=f"{model.tenant}/{model.label}", code=error.code, reason=error.message
                )
                found.append(model)
        return found

    def _own(self, tenant: str) -> TrustPolicy:
        offered = self._pinned.policy(tenant)
        if not offered.serial and self._seen.last("pinned", tenant) is None:
            return offered  # written by hand: nobody counts its changes
        return self._seen.accept("pinned", offered)

# SPDX-License-Identifier: Apache-2.0
"""The keys of one issuer, remembered, and fetched again when that is due.

They are used for ``fresh_s`` without asking, and then refreshed beside the requests. A key id that is not among them has
them fetched again, because issuers rotate keys, but at most every ``refetch_s``: made-up ids cannot make this process call
the issuer more often. While the issuer cannot be reached its last keys are used for ``grace_s`` more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from artifacts.tokens.jwk import Algorithm, InvalidKeySet, VerifyingKey, read_keys
from artifacts.tokens.keysource import KeySource, unavailable
from core.clock import Clock
from core.errors import FuroshikiError
from core.questions import Questions
from core.telemetry.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long keys are used, in seconds."""

    fresh_s: float = 300.0  # without asking for them again
    grace_s: float = 3600.0  # beyond that, while they cannot be had
    refetch_s: float = 10.0  # at least, between two fetches


class KeySet:
    """The keys of one issuer.

    Args:
        source: Has them.
        name: The issuer's, for the log.
        clock: For their age.
        patience: How long they are used.
    """

    def __init__(self, source: KeySource, *, name: str, clock: Clock, patience: Patience) -> None:
        self._source = source
        self._name = name
        self._clock = clock
        self._patience = patience
        self._keys: tuple[VerifyingKey, ...] = ()
        self._fetched_at = -math.inf
        self._asked_at = -math.inf
        self._questions: Questions[str, None] = Questions()

    async def find(self, kid: str | None, algorithm: Algorithm) -> VerifyingKey | None:
        """The key of that id for that algorithm; without an id the only one for it. None if there is none.

        Raises:
            Unavailable: ``STORE_001`` if there are no keys that may be used, and none can be had now.
        """
        patience = self._patience
        age = self._clock.monotonic() - self._fetched_at
        if age > patience.fresh_s + patience.grace_s:
            await self._fetch_now()
        elif age > patience.fresh_s and self._may_ask():
            self._questions.start(self._name, self._refresh)
        key = self._among(kid, algorithm)
        if key is None and (len(self._questions) or self._may_ask()):
            await self._questions.ask(self._name, self._refresh)
            key = self._among(kid, algorithm)
        return key

    def _may_ask(self) -> bool:
        return self._clock.monotonic() - self._asked_at >= self._patience.refetch_s

    def _among(self, kid: str | None, algorithm: Algorithm) -> VerifyingKey | None:
        found = [key for key in self._keys if key.algorithm == algorithm and kid in (None, key.kid)]
        return found[0] if len(found) == 1 else None

    async def _fetch_now(self) -> None:
        """Without keys there is nothing to go on with; requests that come while they are fetched wait for them."""
        if not len(self._questions) and self._clock.monotonic() - self._asked_at < min(1.0, self._patience.refetch_s):
            raise unavailable("asked a moment ago")
        last = self._fetched_at
        await self._questions.ask(self._name, self._refresh)
        if self._fetched_at == last:
            raise unavailable("the last fetch failed")

    async def _refresh(self) -> None:
        self._asked_at = self._clock.monotonic()
        try:
            self._keys = read_keys(await self._source.read())
        except InvalidKeySet as error:
            log.warning("issuer_keys_refused", issuer=self._name, cause=str(error))
        except FuroshikiError as error:
            log.warning("issuer_keys_not_had", issuer=self._name, **error.log_context)
        else:
            self._fetched_at = self._asked_at

# SPDX-License-Identifier: Apache-2.0
"""One connection to Vault: logs in when it is first used, renews its token in time, logs in again when the token is gone.

Vault that is sealed, unreachable, overloaded or refuses our login is :class:`~core.errors.Unavailable`: retryable, and naming
the setting to look at. What Vault answers is in no message and no log; neither is our token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

import hvac
import requests
from hvac import exceptions

from artifacts.secrets.login import Lease, check_login, log_in, renew
from core.clock import Clock
from core.errors import ErrorCode, InitError, Unavailable
from core.secrets.settings import VaultSettings
from core.telemetry.logs import get_logger

RENEW_AT: Final = 2 / 3  # of a token's life
_RETRY_S: Final = 2.0
_SEALED: Final = (exceptions.VaultDown, exceptions.VaultNotInitialized)
_AWAY: Final = (exceptions.BadGateway, exceptions.InternalServerError, exceptions.RateLimitExceeded)

T = TypeVar("T")
log = get_logger(__name__)


class VaultConnection:
    """What everything that is kept in one Vault shares. May be used from several threads at once.

    Args:
        settings: Where it is, and who we are to it.
        clock: For the life of the token.

    Raises:
        InitError: ``INIT_002`` if a setting is missing.
    """

    def __init__(self, settings: VaultSettings, clock: Clock) -> None:
        check_login(settings)
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._client: hvac.Client | None = None  # None: not logged in
        self._renew_at = float("inf")  # on the monotonic clock
        self._ends_at = float("inf")

    def call(self, ask: Callable[[hvac.Client], T]) -> T:
        """What ``ask`` answers, asked with a token in force; asked twice if the token turns out to be gone.

        Raises:
            InitError: ``INIT_002`` if the service account's token cannot be read.
            Unavailable: ``STORE_001`` if Vault is sealed, cannot be reached or refuses us.
            hvac.exceptions.InvalidPath: What was asked for does not exist.
            hvac.exceptions.InvalidRequest: Vault understands and declines.
        """
        try:
            client = self._logged_in()
            try:
                return ask(client)
            except (exceptions.Forbidden, exceptions.Unauthorized):
                self._forget(client)
                return ask(self._logged_in())
        except (exceptions.InvalidPath, exceptions.InvalidRequest, exceptions.UnsupportedOperation):
            raise
        except (exceptions.VaultError, requests.RequestException) as error:
            raise self._unavailable(error) from None

    def demand(self, ask: Callable[[hvac.Client], T], *, what: str) -> T:
        """:meth:`call` for something that an operator has to provide.

        Args:
            ask: As :meth:`call`.
            what: How messages name it: ``the transit engine 'transit'``.

        Raises:
            InitError: ``INIT_001`` if Vault has no such thing.
            Unavailable: As :meth:`call`.
        """
        try:
            return self.call(ask)
        except (exceptions.InvalidPath, exceptions.InvalidRequest, exceptions.UnsupportedOperation) as error:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"Vault at {self._settings.address} lacks {what}, or it is of another kind. Mount it, or repair the setting.",
                log_context={"cause": type(error).__name__},
            ) from None

    def _logged_in(self) -> hvac.Client:
        with self._lock:
            now = self._clock.monotonic()
            if self._client is None or now >= self._ends_at:
                self._client = None
                client = self._connect()
                self._keep(self._login(client), now)
                self._client = client
            elif now >= self._renew_at:
                self._renew(self._client, now)
            return self._client

    def _connect(self) -> hvac.Client:
        settings = self._settings
        session = requests.Session()
        verify = True if settings.ca_file is None else str(settings.ca_file)
        session.verify = verify
        return hvac.Client(
            url=settings.address,
            token="",
            verify=verify,
            timeout=settings.timeout_seconds,
            namespace=settings.namespace,
            session=session,
        )

    def _login(self, client: hvac.Client) -> Lease:
        try:
            return log_in(client, self._settings)
        except exceptions.InvalidRequest as error:  # what Vault says to a wrong role or secret id
            raise self._unavailable(error) from None

    def _renew(self, client: hvac.Client, now: float) -> None:
        try:
            self._keep(renew(client), now)
        except (exceptions.VaultError, requests.RequestException) as error:
            log.warning("vault_token_not_renewed", cause=type(error).__name__)
            self._renew_at = now + _RETRY_S

    def _keep(self, lease: Lease, now: float) -> None:
        self._ends_at = now + lease.seconds if lease.seconds else float("inf")
        # A token that cannot be renewed is used until it ends; then there is another login.
        self._renew_at = now + lease.seconds * RENEW_AT if lease.seconds and lease.renewable else float("inf")

    def _forget(self, client: hvac.Client) -> None:
        with self._lock:
            if self._client is client:
                self._client = None

    def _unavailable(self, error: Exception) -> Unavailable:
        address = self._settings.address
        if isinstance(error, _SEALED):
            reason = f"Vault at {address} is sealed; unseal it."
        elif isinstance(error, requests.exceptions.SSLError):
            reason = f"Vault at {address} shows a certificate that is not trusted; see FUROSHIKI_VAULT__CA_FILE."
        elif isinstance(error, (*_AWAY, requests.RequestException)):
            reason = f"Vault at {address} cannot be reached or does not answer; see FUROSHIKI_VAULT__ADDRESS."
        else:
            reason = f"Vault at {address} refuses this process; see FUROSHIKI_VAULT__AUTH and the policies of its role."
        return Unavailable(
            ErrorCode.STORE_UNAVAILABLE, reason, log_context={"cause": type(error).__name__}, retry_after=_RETRY_S
        )

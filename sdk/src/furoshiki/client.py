# SPDX-License-Identifier: Apache-2.0
"""``Client`` and ``AsyncClient``: the same resources, blocking or awaitable.

Configuration comes from arguments, then the environment, then the file of ``furo login``; see
:mod:`furoshiki.config`. A client keeps connections: make one, share it between threads or tasks, close it or use
``with``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import httpx

from furoshiki import session
from furoshiki.aliases import Aliases
from furoshiki.api import Api, get_request
from furoshiki.approvals import Approvals
from furoshiki.audit import Audit
from furoshiki.builds import Builds
from furoshiki.bundle.policy import TrustPolicy, parse_policy
from furoshiki.calibrations import Calibrations
from furoshiki.config import Config, config_path, resolve
from furoshiki.conversions import Conversions
from furoshiki.deployments import Deployments
from furoshiki.gates import Gates
from furoshiki.images import Images
from furoshiki.inference import Inference, InferenceResult
from furoshiki.jobs import Jobs
from furoshiki.keys import Keys
from furoshiki.models import Models
from furoshiki.requests import Requests
from furoshiki.resource import D, Resource, operation
from furoshiki.retry import Clock, Retry, RetryBudget, SystemClock
from furoshiki.signing import Signing
from furoshiki.stages import Stages
from furoshiki.steps import Steps
from furoshiki.tenants import NO_LIMITS, TenantLimits, Tenants
from furoshiki.tensors import Array
from furoshiki.tokens import Token, Tokens
from furoshiki.transport import LOOPBACK, AsyncTransport, SyncTransport
from furoshiki.tunings import Tunings
from furoshiki.usage import Usage
from furoshiki.variants import Variants
from furoshiki.version import __version__
from furoshiki.versions import Versions
from furoshiki.webhooks import Webhooks

DEFAULT_TIMEOUT: Final = 30.0  # seconds of silence after which a request is given up
_CONNECT_TIMEOUT: Final = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose key the client uses, and what its tenant may use of the inference services."""

    tenant: str
    key_id: str
    name: str
    roles: tuple[str, ...]
    actions: tuple[str, ...] = ()  # what the roles allow
    expires_at: datetime | None = None  # None: does not expire
    limits: TenantLimits = NO_LIMITS
    features: dict[str, bool] = field(default_factory=dict)  # a name that is missing: as each service decides


class _Surface(Resource[D]):
    """Everything both clients offer."""

    def __init__(self, transport: D, api: Api) -> None:
        super().__init__(transport, api)
        self.models: Models[D] = Models(transport, api)
        self.versions: Versions[D] = Versions(transport, api)
        self.aliases: Aliases[D] = Aliases(transport, api)
        self.approvals: Approvals[D] = Approvals(transport, api)
        self.audit: Audit[D] = Audit(transport, api)
        self.gates: Gates[D] = Gates(transport, api)
        self.stages: Stages[D] = Stages(transport, api)
        self.jobs: Jobs[D] = Jobs(transport, api)
        self.tunings: Tunings[D] = Tunings(transport, api)
        self.calibrations: Calibrations[D] = Calibrations(transport, api)
        self.conversions: Conversions[D] = Conversions(transport, api)
        self.variants: Variants[D] = Variants(transport, api)
        self.builds: Builds[D] = Builds(transport, api)
        self.images: Images[D] = Images(transport, api)
        self.deployments: Deployments[D] = Deployments(transport, api)
        self.keys: Keys[D] = Keys(transport, api)
        self.tenants: Tenants[D] = Tenants(transport, api)
        self.webhooks: Webhooks[D] = Webhooks(transport, api)
        self.requests: Requests[D] = Requests(transport, api)
        self.usage: Usage[D] = Usage(transport, api)
        self.signing: Signing[D] = Signing(transport, api)
        self.tokens: Tokens[D] = Tokens(transport, api)
        self.inference: Inference[D] = Inference(transport, api)

    @operation
    def whoami(self) -> Steps[Identity]:
        """Whose key this client uses.

        Raises:
            AuthError: ``AUTH_001`` without a key, ``AUTH_002`` with an unknown one.
        """
        return (yield from self._api.fetch(get_request("/whoami"), Identity))

    @operation
    def trust(self) -> Steps[TrustPolicy]:
        """The keys that the caller's tenant trusts, and what it revoked."""
        return parse_policy((yield from self._api.send(get_request("/trust"))).body)

    @operation
    def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        binary: bool = True,
        timeout: float | None = None,
        url: str | None = None,
    ) -> Steps[InferenceResult]:
        """Runs a model once; see :meth:`Inference.infer`."""
        return (
            yield from Inference.infer.steps(
                self, model, inputs, version=version, outputs=outputs, binary=binary, timeout=timeout, url=url
            )
        )


class Client(_Surface[SyncTransport]):
    """A blocking client.

    Args:
        url: The registry; None: ``FUROSHIKI_URL``, the config file, ``http://127.0.0.1:8800``.
        inference_url: The inference service; None: ``FUROSHIKI_INFERENCE_URL``, the config file, ``http://127.0.0.1:3000``.
        api_key: The key; None: ``FUROSHIKI_API_KEY``, the config file; empty: none.
        timeout: Seconds of silence after which a request is given up.
        retry: How often and how long a failed request is repeated.
        transport: Replaces the network, as :class:`furoshiki.testing.FakeService` does.
        clock: Replaces the time.
        rng: Replaces chance in the waits between attempts.

    Raises:
        ConfigError: ``CLIENT_001`` if the configuration cannot be used.
        AuthError: ``AUTH_002`` if the login of ``furo login --oidc`` has ended.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        inference_url: str | None = None,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        config = _configured(url=url, inference_url=inference_url, api_key=api_key)
        clock = clock or SystemClock()
        http = httpx.Client(timeout=_timeout(timeout), transport=transport, mounts=dict.fromkeys(LOOPBACK))
        super().__init__(SyncTransport(http, clock), _api(config, retry, clock, rng))

    def close(self) -> None:
        """Closes the connections; may be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Surface[AsyncTransport]):
    """A client for asyncio; takes what :class:`Client` takes."""

    def __init__(
        self,
        url: str | None = None,
        *,
        inference_url: str | None = None,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        config = _configured(url=url, inference_url=inference_url, api_key=api_key)
        clock = clock or SystemClock()
        http = httpx.AsyncClient(timeout=_timeout(timeout), transport=transport, mounts=dict.fromkeys(LOOPBACK))
        super().__init__(AsyncTransport(http, clock), _api(config, retry, clock, rng))

    async def close(self) -> None:
        """Closes the connections; may be called twice."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _configured(*, url: str | None, inference_url: str | None, api_key: str | None) -> Config:
    """The configuration, with a login that ends soon renewed; that is the only time a constructor asks anybody."""
    config = resolve(url=url, inference_url=inference_url, api_key=api_key)
    return session.current(config, config_path(), now=datetime.now(UTC), exchange=_exchanged)


def _exchanged(config: Config) -> Token:
    with Client(config.url, inference_url=config.inference_url, api_key=config.api_key) as client:
        return client.tokens.create()


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(_CONNECT_TIMEOUT, seconds))


def _api(config: Config, retry: Retry | None, clock: Clock, rng: random.Random | None) -> Api:
    return Api(
        registry_url=config.url,
        inference_url=config.inference_url,
        api_key=config.api_key or None,
        retry=retry or Retry(),
        clock=clock,
        budget=RetryBudget(),
        rng=rng or random.Random(),  # noqa: S311 - spreads retries, protects nothing
        user_agent=f"furoshiki-python/{__version__}",
    )

# SPDX-License-Identifier: Apache-2.0
"""From settings to who may come in and how much: what is wired, and what is refused at the start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from artifacts.testing import refused
from artifacts.tokens.testing import TokenSigner, key_set
from core.clock import SystemClock
from core.errors import ErrorCode, InitError, Overloaded
from services.dataplane.gate import Gate
from services.dataplane.quota.alone import Alone
from services.dataplane.registry import RegistryGateway
from services.edge.auth import OpenAuth, RememberedAuth
from services.edge.auth.either import EitherDirectory
from services.edge.auth.tenants import RememberedTenants, SameForAll
from services.edge.auth.tokens import TokenDirectory
from services.edge.context import Principal
from services.inference.admission import authenticator_of, gate_of
from services.inference.coordination import coordination_of
from services.inference.settings import InferenceSettings

CLOCK = SystemClock()
SIGNER = TokenSigner("EdDSA")

Set = Any


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(SIGNER))
    return path


@pytest.fixture
def setting(environment: Any, monkeypatch: pytest.MonkeyPatch, keys: Path) -> Set:
    """Sets variables; an issuer 'corp' is there, whose keys are in a file."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FUROSHIKI_{name}", value)

    issuer = {"ISSUER": "https://id.example", "AUDIENCE": "furoshiki", "JWKS": str(keys)}
    change(**{f"JWT__ISSUERS__CORP__{name}": value for name, value in issuer.items()})
    return change


def gateway() -> RegistryGateway:
    return RegistryGateway("http://127.0.0.1:9", api_key="k", timeout_s=1, patience_s=1)


def wired(registry: RegistryGateway | None = None) -> Any:
    return authenticator_of(InferenceSettings.read(), registry, tenant="acme", clock=CLOCK)


def token(**claims: Any) -> dict[bytes, bytes]:
    now = time.time()
    full = {"iss": "https://id.example", "aud": "furoshiki", "tenant": "acme", "scope": "infer", "exp": now + 60}
    return {b"authorization": b"Bearer " + SIGNER.sign(full | claims).encode()}


async def test_each_mode_asks_whom_it_says(setting: Set, tmp_path: Path) -> None:
    """Nobody, the registry, the issuers, or both by the credential's shape."""
    assert isinstance(wired(), OpenAuth)
    setting(AUTH__MODE="api_key")
    registry = gateway()
    assert wired(registry)._directory is registry
    setting(AUTH__MODE="jwt")
    assert isinstance(wired()._directory, TokenDirectory)
    setting(AUTH__MODE="both")
    both = wired(registry)
    assert isinstance(both, RememberedAuth)
    assert isinstance(both._directory, EitherDirectory)
    assert both._directory._api_keys is registry


async def test_records_come_from_the_registry_if_the_service_may_ask(setting: Set) -> None:
    """With a key of its own; without, every tenant is served alike."""
    setting(AUTH__MODE="jwt")
    assert isinstance(wired()._directory._tenants, SameForAll)
    assert isinstance(wired(gateway())._directory._tenants, SameForAll)
    setting(REGISTRY__API_KEY_FILE="/some/key")
    assert isinstance(wired(gateway())._directory._tenants, RememberedTenants)


async def test_a_token_comes_in_without_a_registry(setting: Set) -> None:
    """Keys from a file: a service of one Bento needs nothing else; the second time there is nothing to check."""
    setting(AUTH__MODE="jwt", JWT__ISSUERS__CORP__TENANTS="acme, globex", JWT__ISSUERS__CORP__ALGORITHMS="EdDSA")
    authenticator = wired()
    good = token()
    principal = await authenticator.authenticate(good)
    assert principal.tenant == "acme"
    assert authenticator.known(good) is principal
    for bad in (token(tenant="initech"), token(aud="other"), token(exp=time.time() - 100), {b"x-api-key": b"x" * 9000}):
        with refused(ErrorCode.AUTH_INVALID):
            await authenticator.authenticate(bad)
    with refused(ErrorCode.AUTH_FORBIDDEN):
        await authenticator.authenticate(token(scope="read"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"AUTH__MODE": "api_key"}, "FUROSHIKI_REGISTRY__URL"),
        ({"AUTH__MODE": "both"}, "FUROSHIKI_REGISTRY__URL"),
        ({"JWT__ISSUERS__CORP__JWKS": "/absent/keys.json"}, "FUROSHIKI_JWT__ISSUERS__CORP__JWKS"),
        ({"JWT__ISSUERS__CORP__JWKS": "http://id.example/keys"}, "FUROSHIKI_JWT__ISSUERS__CORP__JWKS"),
        ({"JWT__ISSUERS__CORP__JWKS": "file:///etc/keys"}, "FUROSHIKI_JWT__ISSUERS__CORP__JWKS"),
        ({"JWT__ISSUERS__CORP__ALGORITHMS": "HS256"}, "FUROSHIKI_JWT__ISSUERS__CORP__ALGORITHMS"),
        ({"JWT__ISSUERS__CORP__ALGORITHMS": "none"}, "FUROSHIKI_JWT__ISSUERS__CORP__ALGORITHMS"),
        ({"JWT__ISSUERS__CORP__AUDIENCE": ""}, "FUROSHIKI_JWT__ISSUERS__CORP__AUDIENCE"),
        ({"JWT__ISSUERS__TWIN__ISSUER": "https://other", "JWT__ISSUERS__TWIN__JWKS": "/x"}, "TWIN__AUDIENCE"),
        ({"AUTH__MODE": "token"}, "FUROSHIKI_AUTH__MODE"),
        ({"QUOTA__BURST": "-1"}, "FUROSHIKI_QUOTA__BURST"),
    ],
    ids=str,
)
async def test_settings_that_do_not_fit_are_named(setting: Set, values: dict[str, str], named: str) -> None:
    """INIT_002 says which variable, at the start and not at the first request."""
    setting(**{"AUTH__MODE": "jwt", **values})
    with refused(ErrorCode.SETTING_INVALID, named):
        wired()


async def test_two_issuers_of_one_name_are_refused(setting: Set, keys: Path) -> None:
    """A token must not depend on which of them comes first."""
    setting(AUTH__MODE="jwt")
    for name, value in {"ISSUER": "https://id.example", "AUDIENCE": "other", "JWKS": str(keys)}.items():
        setting(**{f"JWT__ISSUERS__TWIN__{name}": value})
    with refused(ErrorCode.SETTING_INVALID, "two issuers"):
        wired()


async def test_jwt_needs_an_issuer(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one nobody could come in."""
    monkeypatch.setenv("FUROSHIKI_AUTH__MODE", "jwt")
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_JWT__ISSUERS"):
        wired()


async def gate() -> Gate:
    settings = InferenceSettings.read()
    return await gate_of(settings, coordination_of(settings, clock=CLOCK), clock=CLOCK)


def passed(gate: Any, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            gate.enter(Principal(tenant="acme", key_id="k"))
        except Overloaded:
            continue
        count += 1
    return count


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 50),
        ({"QUOTA__CONCURRENT_REQUESTS": "8"}, 8),
        ({"QUOTA__CONCURRENT_REQUESTS": "8", "HTTP__WORKERS": "2"}, 4),
        ({"QUOTA__CONCURRENT_REQUESTS": "8", "HTTP__WORKERS": "2", "QUOTA__PROCESSES": "8"}, 1),
        ({"QUOTA__REQUESTS_PER_SECOND": "0.001", "QUOTA__BURST": "7"}, 7),
        ({"QUOTA__REQUESTS_PER_HOUR": "9"}, 9),
        ({"QUOTA__REQUESTS_PER_HOUR": "9", "QUOTA__REQUESTS_PER_DAY": "8", "HTTP__WORKERS": "2"}, 4),
    ],
    ids=str,
)
async def test_the_gate_has_the_defaults_of_the_settings(setting: Set, values: dict[str, str], expected: int) -> None:
    """Shared out between the API workers of this server, unless more are told of."""
    setting(**values)
    made = await gate()
    assert isinstance(made._sharing, Alone)
    assert passed(made, 50) == expected


async def test_an_url_that_is_none_is_not_repeated(setting: Set) -> None:
    """It may hold a password."""
    setting(REDIS__URL="tcp://:s3cr3t@127.0.0.1")
    with pytest.raises(InitError, match="FUROSHIKI_REDIS__URL") as caught:
        await gate()
    assert "s3cr3t" not in str(caught.value)


async def test_redis_that_is_not_there_does_not_keep_the_service_from_starting(setting: Set) -> None:
    """It starts with its share."""
    setting(REDIS__URL="redis://127.0.0.1:1/0", QUOTA__CONCURRENT_REQUESTS="8", QUOTA__PROCESSES="4")
    made = await gate()
    assert passed(made, 50) == 2
    await made.close()

# SPDX-License-Identifier: Apache-2.0
"""What the claims of an OpenID provider's token mean here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.testing import refused
from artifacts.tokens.keyset import KeySet, Patience
from artifacts.tokens.verifier import TokenIssuer
from core.clock import ManualClock
from core.errors import ErrorCode
from registry_api.http.access import Role
from registry_api.http.auth import Principal, Via
from registry_api.tenancy.tokens.oidc import OidcReader, id_of

ENDS = datetime(2030, 1, 1, tzinfo=UTC)
ROLES = {"ml": frozenset({Role.DEVELOPER, Role.USER}), "boss": frozenset({Role.TENANT_ADMIN})}


class NoKeys:
    async def read(self) -> bytes:
        return b'{"keys":[]}'


ISSUER = TokenIssuer(
    name="corp",
    issuer="https://id.example",
    audiences=frozenset({"furo"}),
    keys=KeySet(NoKeys(), name="corp", clock=ManualClock(), patience=Patience()),
    algorithms=frozenset({"RS256"}),
    leeway_s=0,
)


async def read(claims: dict[str, Any], **changes: Any) -> Principal:
    settings: dict[str, Any] = {"tenant": None, "tenant_claim": "org", "tenants": frozenset(), "roles_claim": "groups"}
    reader = OidcReader(**(settings | changes), roles=ROLES)
    return await reader.principal(claims, ISSUER, expires_at=ENDS)


async def test_groups_become_roles_and_the_rest_is_ignored() -> None:
    """A list or a string; groups that nobody mapped give nothing."""
    for groups in (["ml", "other", 7], "ml other"):
        found = await read({"sub": "alice", "org": "acme", "groups": groups})
        assert (found.tenant, found.name, found.roles) == ("acme", "alice@corp", ROLES["ml"])
        assert (found.expires_at, found.via) == (ENDS, Via.LOGIN)


@pytest.mark.parametrize("groups", [[], "", None, ["other"], {"ml": True}, ["ML"], 5])
async def test_no_role_is_forbidden(groups: object) -> None:
    """Names of groups are compared to the letter."""
    with refused(ErrorCode.AUTH_FORBIDDEN):
        await read({"sub": "alice", "org": "acme", "groups": groups})


@pytest.mark.parametrize("org", [None, "", "Acme", "a/b", "../x", ["acme"], "globex", "*"])
async def test_a_tenant_that_the_claim_may_not_name_is_refused(org: object) -> None:
    """Missing, of another type, no name, or not on the list."""
    with refused(ErrorCode.AUTH_INVALID):
        await read({"sub": "alice", "org": org, "groups": "ml"}, tenants=frozenset({"acme"}))


async def test_a_fixed_tenant_does_not_ask_the_claim() -> None:
    """Whatever the token says."""
    assert (await read({"sub": "a", "org": "globex", "groups": "ml"}, tenant="acme")).tenant == "acme"


@pytest.mark.parametrize("sub", [None, "", 5])
async def test_nobody_in_particular_is_refused(sub: object) -> None:
    """History needs somebody."""
    with refused(ErrorCode.AUTH_INVALID):
        await read({"sub": sub, "org": "acme", "groups": "ml"})


async def test_a_subject_does_no_harm_in_names_and_ids() -> None:
    """Its odd characters and its length are gone from the name; the id tells people apart nevertheless."""
    odd = await read({"sub": "x\n" + "é" * 500, "org": "acme", "groups": "ml"})
    assert odd.name.isascii()
    assert odd.name.isprintable()
    assert len(odd.name) < 100
    assert len(odd.key_id) == 16
    assert id_of("https://a", "b") != id_of("https://ab", "")
    assert id_of("https://a", "alice") != id_of("https://b", "alice")

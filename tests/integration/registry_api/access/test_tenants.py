# SPDX-License-Identifier: Apache-2.0
"""Another tenant's things are not there: every route is asked for them, by every role of a stranger.

The law: the answer about something of another tenant is the answer about something nobody has. Whoever may do the thing in
the own tenant gets 404; whoever may not gets the 403 that any name gives. And nothing of the other tenant changes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from registry_api.db.session import EVERY_TENANT
from registry_api.http.access import Action, Role
from registry_api.schema import METADATA
from tests.integration.registry_api.access.asking import parameters, path, sample, template
from tests.integration.registry_api.access.routes import Route, routes_of
from tests.integration.registry_api.access.samples import NOBODYS
from tests.integration.registry_api.access.world import MODEL, OWNER, STRANGER, World


def about_somebody(world: World) -> list[Route]:
    """The routes whose path names something of one tenant."""
    return [route for route in routes_of(world.api.app) if NOBODYS.keys() & set(parameters(route))]


async def rows_of(world: World, tenant: str) -> dict[str, list[Any]]:
    """Everything the database holds of a tenant, but for when its keys were used."""
    found = {}
    async with world.api.platform.db.read(EVERY_TENANT) as session:
        for table in METADATA.sorted_tables:
            if "tenant" in table.columns:
                kept = [column for column in table.columns if column.name != "last_used_at"]
                rows = await session.execute(
                    select(*kept).where(table.columns["tenant"] == tenant).order_by(*table.primary_key.columns)
                )
                found[table.name] = [tuple(row) for row in rows]
    return found


async def test_another_tenants_things_are_not_there(world: World) -> None:
    """By every role and by all of them together; printed: how many routes gave which answer."""
    before = await rows_of(world, OWNER)
    assert {name for name, rows in before.items() if rows} >= {"models", "versions", "api_keys", "webhooks", "builds"}
    callers = {role.value: world.keys[STRANGER, role] for role in Role} | {"all roles": world.strangest}
    table: dict[str, dict[str, int]] = {}
    for route in about_somebody(world):
        request = sample(route)
        for caller, key in callers.items():
            theirs = await world.ask(route.method, path(route, world.named), key, **request.arguments())
            nobodys = await world.ask(route.method, path(route, world.named | NOBODYS), key, **request.arguments())
            assert theirs == nobodys, f"{route} for {caller}: {theirs} about another tenant's, {nobodys} about nobody's"
            if caller == "all roles" and not request.makes:
                assert theirs[0] == 404, f"{route}: {theirs}"
            if not request.makes:
                assert theirs[0] in (403, 404), f"{route} for {caller}: {theirs}"
            table[template(route)] = table.get(template(route), {}) | {caller: theirs[0]}
    for shown, answers in sorted(table.items()):
        print(f"{shown:<78}" + " ".join(f"{status:>5}" for status in answers.values()))
    assert await rows_of(world, OWNER) == before


async def test_lists_show_nothing_of_another_tenant(world: World) -> None:
    """No list, search or report of a stranger holds a name or an id of the owner's."""
    hidden = [MODEL, "their-deployment", *(v for k, v in world.named.items() if len(v) >= 16 and k != "path")]
    for route in routes_of(world.api.app):
        if route.method != "GET" or route.public or parameters(route) or route.action is Action.TENANTS_MANAGE:
            continue
        response = await world.api.http.get(path(route, {}), headers={"X-API-Key": world.strangest})
        assert not [secret for secret in hidden if secret in response.text], str(route)


async def test_naming_another_tenant_outright_is_refused(world: World) -> None:
    """In a body or a query, by whoever administers only the own tenant: 403; by role ``service`` without acting: nothing."""
    key = {"X-API-Key": world.strangest}
    api = world.api
    for method, at, body in (
        ("GET", f"/keys?tenant={OWNER}", None),
        ("POST", "/keys", {"name": "x", "roles": ["viewer"], "tenant": OWNER}),
        ("DELETE", f"/keys/{world.named['key']}?tenant={OWNER}", None),
        ("POST", f"/keys/{world.named['key']}/rotate?tenant={OWNER}", {}),
    ):
        assert await api.refused(method, at, json=body, headers=key) == (403, "AUTH_003")
    service = {"X-API-Key": world.keys[STRANGER, Role.SERVICE]}
    assert (await api.ok("GET", "/models", headers=service))["items"] == []


async def test_the_platforms_administrator_opens_nothing_inside_a_tenant(world: World) -> None:
    """It manages tenants and their keys, and sees no model, job, deployment, webhook or history of any of them."""
    key = {"X-API-Key": world.keys[STRANGER, Role.PLATFORM_ADMIN]}
    await world.api.ok("GET", f"/keys?tenant={OWNER}", headers=key)
    for at in ("/models", f"/models/{MODEL}", "/jobs", "/deployments", "/webhooks", "/audit", "/requests"):
        assert await world.api.refused("GET", at, headers=key) == (403, "AUTH_003")

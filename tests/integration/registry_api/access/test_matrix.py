# SPDX-License-Identifier: Apache-2.0
"""Every route is called by every role, and the answers are what the policy says. The matrix is printed (``pytest -s``)."""

from __future__ import annotations

import httpx

from registry_api.http.access import GRANTS, Action, Resource, ResourcePolicy, Role
from registry_api.http.auth import Principal
from tests.integration.registry_api.access.asking import path, sample, template
from tests.integration.registry_api.access.routes import Route, routes_of
from tests.integration.registry_api.access.world import MODEL, OWNER, STRANGER, World

FORBIDDEN = (403, "AUTH_003")
ACTING = {"X-Furoshiki-Tenant": OWNER}


def may(role: Role, action: Action) -> bool:
    principal = Principal(tenant=OWNER, key_id="k", name="n", roles=frozenset({role}))
    return ResourcePolicy.can(principal, action, Resource(tenant=OWNER))


def barred(response: httpx.Response, route: Route) -> bool:
    """Whether the role is not enough for the route's action. A 403 for another reason (the author of a version may not
    approve it) comes from behind the guard and names no action, or another one."""
    if (response.status_code, response.headers["content-type"]) != (403, "application/json"):
        return False
    error = response.json()["error"]
    return bool(error["code"] == "AUTH_003" and error["details"].get("action") == route.action)


async def test_every_route_lets_through_whom_the_policy_lets(world: World) -> None:
    """Whoever may gets past the guard, whatever the answer then is; everybody else gets 403 AUTH_003."""
    routes = [route for route in routes_of(world.api.app) if not route.public]
    answers: dict[Route, dict[Role, bool]] = {}
    for route in sorted(routes, key=lambda route: route.method == "DELETE"):  # what others name is removed last
        answers[route] = {}
        for role in Role:
            asked = path(route, world.named)
            got = await world.send(route.method, asked, world.keys[OWNER, role], **sample(route).arguments())
            assert got.status_code != 401, f"{route} for {role}: {got.text}"
            assert got.status_code < 500, f"{route} for {role}: {got.text}"
            answers[route][role] = not barred(got, route)
    _show(answers)
    expected = {route: {role: may(role, route.action) for role in Role} for route in routes}
    assert answers == expected


def _show(answers: dict[Route, dict[Role, bool]]) -> None:
    head = " ".join(f"{role.value:>14}" for role in Role)
    print(f"\n{'route':<78}{'action':<20}{head}")
    for route, allowed in sorted(answers.items()):
        row = " ".join(f"{'allowed' if allowed[role] else '403':>14}" for role in Role)
        print(f"{template(route):<78}{route.action.value:<20}{row}")


async def test_a_service_acts_in_the_tenant_it_names(world: World) -> None:
    """There it may what a service may, on every route, and nothing else."""
    for route in routes_of(world.api.app):
        if not route.public:
            request = sample(route).arguments() | {"headers": ACTING}
            got = await world.send(
                route.method, path(route, world.named), world.keys[STRANGER, Role.SERVICE], **request
            )
            assert barred(got, route) is (route.action not in GRANTS[Role.SERVICE]), f"{route}: {got.text}"


async def test_nobody_else_acts_for_a_tenant(world: World) -> None:
    """Whatever the route and the role, naming a tenant is 403: also one's own, and also for the platform's administrator."""
    for role in set(Role) - {Role.SERVICE}:
        for tenant in (OWNER, STRANGER):
            for at in ("/api/v1/whoami", "/api/v1/models", f"/api/v1/models/{MODEL}", "/api/v1/tenants"):
                headers = {"X-Furoshiki-Tenant": tenant}
                assert await world.ask("GET", at, world.keys[STRANGER, role], headers=headers) == FORBIDDEN

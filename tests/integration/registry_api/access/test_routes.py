# SPDX-License-Identifier: Apache-2.0
"""No route is forgotten: each says who may call it, and each has a sample for the matrices."""

from __future__ import annotations

from registry_api.http.access import Action
from tests.integration.registry_api.access.asking import parameters, template
from tests.integration.registry_api.access.routes import DOCUMENTATION, routes_of
from tests.integration.registry_api.access.samples import NOBODYS, SAMPLES, SHARED
from tests.integration.registry_api.access.world import World

PUBLIC = {*DOCUMENTATION, "/healthz", "/readyz", "/metrics", "/api/v1/jwks", "/api/v1/login"}


async def test_every_route_declares_one_action_or_that_it_is_public(world: World) -> None:
    """A route with none, with two, or one that is both, is named; the public ones are these and no others."""
    routes = routes_of(world.api.app)
    assert [str(route) for route in routes if (len(route.actions) == 1) is route.public or len(route.actions) > 1] == []
    assert {route.path for route in routes if route.public} == PUBLIC
    assert len(routes) > 50


async def test_every_route_has_a_sample_and_every_sample_a_route(world: World) -> None:
    """Both differences are listed; a parameter has to be known as somebody's or as nobody's."""
    closed = [route for route in routes_of(world.api.app) if not route.public]
    assert {template(route) for route in closed} ^ SAMPLES.keys() == set()
    assert {name for route in closed for name in parameters(route)} - NOBODYS.keys() - SHARED == set()


async def test_every_action_but_one_is_asked_for_by_a_route(world: World) -> None:
    """Inference services ask for ``models:infer``; what follows is checked inside a route that asks for less, or kept for
    a tenant's own settings."""
    used = {action for route in routes_of(world.api.app) for action in route.actions}
    inside = {Action.MODELS_INFER, Action.TENANTS_SERVE, Action.TENANT_MANAGE, *_OVERRIDES}
    assert set(Action) - used <= inside


_OVERRIDES = {action for action in Action if action.value.endswith(":override")}


async def test_without_a_credential_nothing_but_the_public_routes_answers(world: World) -> None:
    """401 AUTH_001 on every route, before anything of the request is looked at."""
    for route in routes_of(world.api.app):
        path = route.path.replace("{version}", "1").replace("{path:path}", "x").replace("{", "").replace("}", "")
        status, code = await world.ask(route.method, path, "", **({} if route.public else {"headers": {}}))
        assert (code == "AUTH_001", status == 401) == (not route.public, not route.public), str(route)

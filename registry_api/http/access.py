# SPDX-License-Identifier: Apache-2.0
"""Who may do what, in one pure place. Every route names its :class:`Action`; roles are sets of actions.

Another tenant's resources are looked up by tenant and so are not found (404); what is refused here is 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol


class Action(StrEnum):
    """What a route does; the comment on each line is its meaning."""

    SELF_READ = "self:read"  # ask who one is
    TRUST_READ = "trust:read"  # whose signatures the own tenant trusts
    MODELS_READ = "models:read"  # list, get and download models, versions, stages, history, reports
    MODELS_WRITE = "models:write"  # register models and versions, describe and tag them
    MODELS_INFER = "models:infer"  # call deployed models
    STAGES_MOVE = "stages:move"  # move a version between stages short of PRODUCTION
    STAGES_PROMOTE = "stages:promote"  # move a version into or out of PRODUCTION
    STAGES_OVERRIDE = "stages:override"  # move it in an emergency although gates are not met, if they permit that
    VERSIONS_APPROVE = "versions:approve"  # approve a version for a stage
    ALIASES_MOVE = "aliases:move"  # set and remove aliases that are not protected
    GATES_MANAGE = "gates:manage"  # say what a version needs to enter a stage, and protect aliases
    VERSIONS_REVOKE = "versions:revoke"  # revoke versions and signing keys, rotate signing keys
    VERSIONS_DELETE = "versions:delete"  # delete and restore versions and models
    JOBS_READ = "jobs:read"  # jobs, their logs and results
    JOBS_CREATE = "jobs:create"  # tune, convert and build; cancel
    DEPLOYMENTS_READ = "deployments:read"  # deployments and their logs
    DEPLOYMENTS_MANAGE = "deployments:manage"  # deploy, change and stop
    AUDIT_READ = "audit:read"  # read and verify the history of the tenant
    WEBHOOKS_MANAGE = "webhooks:manage"  # webhooks and their deliveries
    REQUESTS_READ = "requests:read"  # the request log, usage and quota reports of the own tenant
    REQUESTS_WRITE = "requests:write"  # deliver the request log
    KEYS_MANAGE = "keys:manage"  # API keys of the own tenant
    TENANT_MANAGE = "tenant:manage"  # settings of the own tenant that cost it nothing but itself
    TENANTS_MANAGE = "tenants:manage"  # make tenants, set their limits and features, keys of any tenant
    TENANTS_SERVE = "tenants:serve"  # read in any tenant one acts for


class Role(StrEnum):
    """A named set of actions; the comment on each line is who should have it."""

    VIEWER = "viewer"  # looks
    USER = "user"  # calls models
    DEVELOPER = "developer"  # registers, tunes, converts and builds
    APPROVER = "approver"  # looks and approves
    MODEL_ADMIN = "model-admin"  # decides what is in production and what runs
    TENANT_ADMIN = "tenant-admin"  # everything inside the own tenant
    PLATFORM_ADMIN = "platform-admin"  # tenants, and the keys of any tenant; not what is in them
    SERVICE = "service"  # inference services: read in any tenant they act for


_A: Final = Action
_ANYBODY: Final = frozenset({_A.SELF_READ, _A.TRUST_READ})
_VIEW: Final = _ANYBODY | {_A.MODELS_READ, _A.JOBS_READ, _A.DEPLOYMENTS_READ}
_DEVELOP: Final = _VIEW | {_A.MODELS_WRITE, _A.STAGES_MOVE, _A.ALIASES_MOVE, _A.JOBS_CREATE}
_ADMINISTER: Final = _DEVELOP | {
    *(_A.STAGES_PROMOTE, _A.GATES_MANAGE, _A.VERSIONS_REVOKE, _A.VERSIONS_DELETE, _A.DEPLOYMENTS_MANAGE),
    *(_A.AUDIT_READ, _A.WEBHOOKS_MANAGE, _A.REQUESTS_READ),
}

GRANTS: Final[dict[Role, frozenset[Action]]] = {
    Role.VIEWER: _VIEW,
    Role.USER: _ANYBODY | {_A.MODELS_INFER},
    Role.DEVELOPER: _DEVELOP,
    Role.APPROVER: _VIEW | {_A.VERSIONS_APPROVE, _A.AUDIT_READ},
    Role.MODEL_ADMIN: _ADMINISTER,
    Role.TENANT_ADMIN: _ADMINISTER
    | {_A.MODELS_INFER, _A.VERSIONS_APPROVE, _A.KEYS_MANAGE, _A.TENANT_MANAGE, _A.STAGES_OVERRIDE},
    Role.PLATFORM_ADMIN: _ANYBODY | {_A.TENANTS_MANAGE, _A.KEYS_MANAGE},
    Role.SERVICE: _VIEW | {_A.TENANTS_SERVE, _A.REQUESTS_WRITE},
}
"""What each role may do."""


def actions_of(roles: frozenset[Role]) -> frozenset[Action]:
    """What somebody with these roles may do."""
    return frozenset[Action]().union(*(GRANTS[role] for role in roles))


class Holder(Protocol):
    """Whoever has roles in a tenant."""

    @property
    def tenant(self) -> str: ...

    @property
    def roles(self) -> frozenset[Role]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What an action is about. ``name`` None: whatever the tenant has of that kind."""

    tenant: str
    name: str | None = None


class ResourcePolicy:
    """The decision, without state."""

    @staticmethod
    def can(principal: Holder, action: Action, resource: Resource) -> bool:
        """Whether the caller may do that to the resource."""
        granted = actions_of(principal.roles)
        if Action.TENANTS_MANAGE in granted and action in (Action.TENANTS_MANAGE, Action.KEYS_MANAGE):
            return True
        return action in granted and principal.tenant == resource.tenant

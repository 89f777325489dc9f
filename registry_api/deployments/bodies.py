# SPDX-License-Identifier: Apache-2.0
"""What callers may ask of deployments. What builds and images take differs, so each has bodies of its own."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from registry_api.deployments.values import UNLIMITED, AuthMode, Change, Limits, NewDeployment, TargetKind
from registry_api.http.fields import Incoming, Line, Name

MAX_REPLICAS: Final = 1000  # the setting says how many are allowed; this one, what is a number of instances at all

Id: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-z-]+$", min_length=1, max_length=64)]
Replicas: TypeAlias = Annotated[int, Field(ge=1, le=MAX_REPLICAS, description="How many instances.")]


class LimitsIn(Incoming):
    """What one instance may use at most. Left out: no limit."""

    cpus: float | None = Field(default=None, ge=0.01, le=1024)
    memory_bytes: int | None = Field(default=None, ge=1 << 20, le=1 << 50)

    def value(self) -> Limits:
        """As a value."""
        return Limits(cpus=self.cpus, memory_bytes=self.memory_bytes)


class _New(Incoming):
    name: Name
    auth: AuthMode = Field(default=AuthMode.API_KEY, description="`open` answers everybody on the registry's machine.")
    replicas: Replicas = 1


class BuildDeploymentIn(_New):
    """A deployment of a build, by `bentoml serve`."""

    build_id: Id
    target: Literal[TargetKind.PROCESS] = TargetKind.PROCESS

    def value(self, tenant: str) -> NewDeployment:
        """As a value."""
        return NewDeployment(
            tenant=tenant, name=self.name, build_id=self.build_id, auth=self.auth, replicas=self.replicas
        )


class _OfImage(_New):
    image_id: Id
    target: TargetKind
    limits: LimitsIn | None = None

    def value(self, tenant: str) -> NewDeployment:
        """As a value."""
        return NewDeployment(
            tenant=tenant,
            name=self.name,
            image_id=self.image_id,
            target=self.target,
            auth=self.auth,
            replicas=self.replicas,
            limits=UNLIMITED if self.limits is None else self.limits.value(),
        )


class ImageDeploymentIn(_OfImage):
    """A deployment of an image, in containers of this machine."""

    target: Literal[TargetKind.PODMAN] = TargetKind.PODMAN


class ClusterDeploymentIn(_OfImage):
    """A deployment of an image, in pods of a cluster."""

    target: Literal[TargetKind.KUBERNETES]
    auth: Literal[AuthMode.API_KEY] = AuthMode.API_KEY


class _Changed(Incoming):
    auth: AuthMode | None = None
    replicas: Replicas | None = None


class BuildChangeIn(_Changed):
    """What is to be different of a deployment of a build. Left out: nothing."""

    build_id: Id | None = None

    def value(self) -> Change:
        """As a value."""
        return Change(build_id=self.build_id, auth=self.auth, replicas=self.replicas)


class ImageChangeIn(_Changed):
    """What is to be different of a deployment of an image. Left out: nothing."""

    image_id: Id | None = None
    limits: LimitsIn | None = None

    def value(self) -> Change:
        """As a value."""
        limits = None if self.limits is None else self.limits.value()
        return Change(image_id=self.image_id, auth=self.auth, replicas=self.replicas, limits=limits)


DeploymentIn: TypeAlias = BuildDeploymentIn | ImageDeploymentIn | ClusterDeploymentIn
ChangeIn: TypeAlias = BuildChangeIn | ImageChangeIn


class RollbackIn(Incoming):
    """A way back."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="Left out: after an update that failed what serves, else the revision before."
    )
    reason: Line | None = Field(default=None, description="Why, for the history.")

# SPDX-License-Identifier: Apache-2.0
"""A registry's services on PostgreSQL, to be used by many at once: registration and promotion without uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.tensors import Signature
from registry_api.bootstrap.platform import Platform, open_platform, open_services
from registry_api.builds.testing import register
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.values import Stage, Version
from registry_api.promotion.service import PromotionService
from registry_api.settings.registry import Settings

TENANT = "acme"
EVERYBODY = Principal(
    tenant=TENANT, key_id="k", name="tests", roles=frozenset({Role.MODEL_ADMIN, Role.DEVELOPER}), expires_at=None
)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Services of one process."""

    platform: Platform
    promotion: PromotionService

    async def register(self, model: str = "digits") -> int:
        """The number of a new version."""
        at = self.platform
        empty = Signature(inputs=(), outputs=())
        version: Version = await register(
            at.db, at.store, at.keys, at.clock, files={"model.onnx": b"x"}, signature=empty, tenant=TENANT, model=model
        )
        return version.version

    async def move(self, version: int, *stages: Stage, model: str = "digits") -> None:
        """Moves a version through stages."""
        for stage in stages:
            await self.promotion.change_stage(EVERYBODY, model, version, stage, "because")


@asynccontextmanager
async def open_shop(settings: Settings) -> AsyncIterator[Shop]:
    """The services; they end with the block."""
    async with open_platform(settings) as platform, open_services(platform) as services:
        yield Shop(platform=platform, promotion=services.get(PromotionService))

# SPDX-License-Identifier: Apache-2.0
"""Puts together what decides about versions and remembers it. Part of the composition root."""

from __future__ import annotations

from artifacts.keys.interface import KeyProvider
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.audit.service import AuditService
from registry_api.db.session import Database
from registry_api.http.services import Services
from registry_api.promotion.aliases.service import AliasService
from registry_api.promotion.deprecation.service import DeprecationService
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Gatherer
from registry_api.promotion.plugins import gate_plugins
from registry_api.promotion.review.approvals import ApprovalService
from registry_api.promotion.review.evidence import EvidenceService
from registry_api.promotion.review.gates import GateService
from registry_api.promotion.service import PromotionService
from registry_api.tunings.measurements import TuningMeasurements


def add_governance(services: Services, db: Database, store: BlobStore, keys: KeyProvider, clock: Clock) -> None:
    """Adds the services of stages, gates, approvals, evidence, aliases, deprecation and history."""
    gatekeeper = Gatekeeper(db, Gatherer(store, keys, clock, TuningMeasurements()), gate_plugins())
    services.add(PromotionService, PromotionService(db, clock, gatekeeper))
    services.add(GateService, GateService(db, clock, gatekeeper))
    services.add(ApprovalService, ApprovalService(db, clock, gatekeeper))
    services.add(EvidenceService, EvidenceService(db, clock, keys))
    services.add(AliasService, AliasService(db, clock, gatekeeper))
    services.add(DeprecationService, DeprecationService(db, clock))
    services.add(AuditService, AuditService(db, keys, clock))

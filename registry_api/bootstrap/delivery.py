# SPDX-License-Identifier: Apache-2.0
"""Puts together what becomes of Bentos: images and deployments. Part of the composition root."""

from __future__ import annotations

from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.builds.service import BuildService
from registry_api.db.session import Database
from registry_api.deployments.changing import DeploymentChanges
from registry_api.deployments.service import DeploymentService
from registry_api.deployments.templates import Templates
from registry_api.http.services import Services
from registry_api.images.service import ImageService
from registry_api.jobs.service import JobService
from registry_api.settings.registry import Settings


def add_delivery(services: Services, settings: Settings, db: Database, store: BlobStore, clock: Clock) -> None:
    """Adds the services of images and deployments; those of builds and jobs must be there."""
    builds, jobs = services.get(BuildService), services.get(JobService)
    images = ImageService(db, store, builds, jobs)
    services.add(ImageService, images)
    templates, replicas = Templates(builds, images), settings.limits.replicas
    folder = settings.deployments_dir
    deployments = DeploymentService(db, clock, templates=templates, jobs=jobs, folder=folder, replicas=replicas)
    services.add(DeploymentService, deployments)
    changes = DeploymentChanges(db, clock, templates=templates, jobs=jobs, replicas=replicas)
    services.add(DeploymentChanges, changes)

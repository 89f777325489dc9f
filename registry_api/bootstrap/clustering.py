# SPDX-License-Identifier: Apache-2.0
"""What a worker needs to hand deployments to a cluster. Part of the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from registry_api.bootstrap.platform import Platform
from registry_api.deployments.claims import Claims
from registry_api.deployments.clusters.converging import ClusterConverger
from registry_api.deployments.clusters.gathering import Gatherer
from registry_api.deployments.clusters.shipping import Shipper, ShippingOptions
from registry_api.deployments.clusters.watch import ClusterWatch
from registry_api.deployments.clusters.wishes import Wishes
from registry_api.deployments.kubernetes.opening import opened
from registry_api.deployments.repairing import Repairer
from registry_api.deployments.verified_images import VerifiedImages
from registry_api.settings.worker import WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """The parts of a worker that know a cluster."""

    converger: ClusterConverger
    watch: ClusterWatch


def open_clustering(
    platform: Platform, own: WorkerSettings, *, images: VerifiedImages, repairer: Repairer
) -> Clustering:
    """Those parts; the settings lack nothing (see :func:`registry_api.deployments.kubernetes.opening.missing`)."""
    db, clock, kubernetes = platform.db, platform.clock, own.kubernetes
    cluster = opened(kubernetes, clock, registry_url=own.deployments.registry_url or "")
    wishes, prefix = Wishes(db, platform.keys), (kubernetes.images or "").rstrip("/")
    converger = ClusterConverger(
        db,
        clock,
        claims=Claims(db),
        images=images,
        shipper=Shipper(ShippingOptions(images=prefix, auth_file=kubernetes.auth_file, ca_file=kubernetes.ca_file)),
        wishes=wishes,
        cluster=cluster,
        scratch=platform.settings.scratch_dir / "clusters",
        ready_seconds=kubernetes.ready_seconds,
    )
    watch = ClusterWatch(
        db,
        clock,
        cluster=cluster,
        gatherer=Gatherer(cluster, folder=platform.settings.deployments_dir),
        wishes=wishes,
        repairer=repairer,
        compare_seconds=kubernetes.compare_seconds,
    )
    return Clustering(converger=converger, watch=watch)

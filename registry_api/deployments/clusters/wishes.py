# SPDX-License-Identifier: Apache-2.0
"""What is wanted of a cluster for one deployment: the same words from whoever applies, repairs or compares.

With it goes the tenant's trust policy as it is now, so that a rotated key or a revocation reaches the pods as a difference
that is repaired.
"""

from __future__ import annotations

import asyncio

from artifacts.keys.interface import TrustProvider
from registry_api.db.session import Database
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import Revision
from registry_api.deployments.kubernetes.values import Wanted
from registry_api.deployments.values import Deployment


def repository_of(tenant: str, model: str) -> str:
    """The repository of a model's images, below the prefix that the cluster pulls from."""
    return f"{tenant}/{model}"


class Wishes:
    """Tells what is wanted.

    Args:
        db: Where revisions are.
        trust: Tells whom a tenant trusts.
    """

    def __init__(self, db: Database, trust: TrustProvider) -> None:
        self._db = db
        self._trust = trust

    async def of(self, deployment: Deployment, revision: Revision, *, run: str) -> Wanted:
        """What a revision of a deployment wants, with as many pods as are wanted now.

        Args:
            deployment: Whose revision it is.
            revision: What the pods are made of.
            run: Id of the start that applies it.
        """
        policy = await asyncio.to_thread(self._trust.policy, deployment.tenant)
        template = revision.template
        return Wanted(
            tenant=deployment.tenant,
            name=deployment.name,
            model=f"{template.model}@{template.version}",
            repository=repository_of(deployment.tenant, template.model),
            image=template.digest,
            revision=revision.number,
            run=run,
            auth=template.auth,
            replicas=deployment.replicas,
            limits=template.limits,
            trust=policy.to_bytes().decode(),
        )

    async def serving(self, deployment: Deployment) -> Wanted | None:
        """What was applied when a deployment last became ready; None if it never was, or that is no longer known."""
        number = deployment.serving_revision
        if number is None or deployment.run is None:
            return None
        async with self._db.read(deployment.tenant) as session:
            revision = await HistoryRepository(session, deployment.tenant).of(deployment, number)
        return None if revision is None else await self.of(deployment, revision, run=deployment.run)

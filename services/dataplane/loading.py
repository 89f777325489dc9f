# SPDX-License-Identifier: Apache-2.0
"""Verify, then load: the only way a model enters this process.

The verifier hashes the very bytes the runner is given. Both block, so they run in a thread; what was verified (digest, key)
goes with the model into metadata, the response header, the log and a metric.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleSource, BundleVerifier, VerifiedBundle
from core.clock import Clock
from core.errors import FuroshikiError
from core.telemetry import metrics
from core.telemetry.logs import get_logger
from runners.batching.policy import BatchLimits
from runners.cache import LoadedModel
from runners.handle import EmbeddedHandle
from runners.interface import Runner, RunnerOptions
from runners.loading import open_runner

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoader:
    """Opens bundles with one set of options.

    Attributes:
        clock: Decides about expiry.
        options: Threads and instances of each model.
        limits: Bounds of each model's queue.
    """

    clock: Clock
    options: RunnerOptions
    limits: BatchLimits

    async def load(self, source: BundleSource, *, subject: Subject, policy: TrustPolicy) -> LoadedModel:
        """Verifies a bundle and loads its model.

        Args:
            source: Where the bundle's bytes come from.
            subject: What was asked for; a validly signed other thing is refused.
            policy: The keys the tenant trusts.

        Raises:
            SignatureError: ``SIGN_*`` if the bundle is not exactly what a trusted key signed.
            ModelError: ``MODEL_003`` if the runtime refuses it.
        """
        started = time.perf_counter()
        try:
            bundle, runner = await asyncio.to_thread(self._open, source, subject, policy)
        except FuroshikiError as error:
            metrics.MODEL_LOADS.labels(subject.tenant, subject.model, error.code).inc()
            log.error("model_refused", model=f"{subject.tenant}/{subject.model}", code=error.code, reason=error.message)
            raise
        seconds = time.perf_counter() - started
        return self._loaded(bundle, runner, seconds)

    def _open(self, source: BundleSource, subject: Subject, policy: TrustPolicy) -> tuple[VerifiedBundle, Runner]:
        bundle = BundleVerifier(policy=policy, clock=self.clock).verify(source, subject=subject)
        return bundle, open_runner(bundle, options=self.options)

    def _loaded(self, bundle: VerifiedBundle, runner: Runner, seconds: float) -> LoadedModel:
        manifest = bundle.manifest
        tenant, model, version = manifest.tenant, manifest.model, str(manifest.version)
        metrics.MODEL_LOADS.labels(tenant, model, "ok").inc()
        metrics.MODEL_LOAD_SECONDS.labels(tenant, model).observe(seconds)
        metrics.MODEL_INFO.labels(tenant, model, version, bundle.digest, bundle.key_id, runner.name).inc()
        log.info(
            "model_loaded",
            model=str(manifest.ref),
            digest=bundle.digest,
            key_id=bundle.key_id,
            runner=runner.name,
            seconds=round(seconds, 3),
        )
        return LoadedModel(
            tenant=tenant,
            model=model,
            version=version,
            digest=bundle.digest,
            key_id=bundle.key_id,
            size=manifest.size,
            covered=frozenset({bundle.digest, manifest.parent or bundle.digest, *(f.digest for f in manifest.files)}),
            handle=EmbeddedHandle(runner, limits=self.limits, options=self.options, label=str(manifest.ref)),
            output_dtypes={spec.name: spec.dtype for spec in runner.signature.outputs},
        )

# SPDX-License-Identifier: Apache-2.0
"""Verify, then load: the only way a model enters a process, be it an API worker or a runner.

The verifier hashes the very bytes the runner is given. Both block, so they run in a thread; what was verified (digest, key)
goes with the model into metadata, the response header, the log and a metric. A model that gets a process of its own is
verified here and loaded there, from memory that nobody can write to any more (:mod:`runners.isolation`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from artifacts.digest import Digest
from artifacts.keys.file import FileTrust
from artifacts.keys.interface import TrustProvider
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleSource, BundleVerifier, VerifiedBundle
from artifacts.source import DirectorySource
from artifacts.tuning import MAX_TUNING_BYTES, TUNING_NAME
from core.clock import Clock, SystemClock
from core.errors import ErrorCode, FuroshikiError, SignatureError
from core.telemetry import metrics
from core.telemetry.logs import get_logger
from runners.batching.cores import Cores
from runners.batching.options import BatchOptions
from runners.batching.policy import BatchLimits
from runners.cache import LoadedModel
from runners.devices import usable_cores
from runners.handle import EmbeddedHandle, RunnerHandle
from runners.interface import RunnerOptions
from runners.isolation.handle import IsolatedHandle, Queueing
from runners.isolation.opening import SealedBundle, isolate
from runners.isolation.options import IsolationOptions
from runners.isolation.sealed import SealedFiles
from runners.loading import declared, open_runner
from runners.settings import ServingSettings
from runners.tuning.advice import Advice, Plan
from runners.tuning.device import fingerprint_here, this_machine

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    bundle: VerifiedBundle | SealedBundle  # sealed: the model gets a process
    batching: BatchOptions
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoader:
    """Opens bundles with one set of options.

    Attributes:
        clock: Decides about expiry.
        options: Threads and instances of each model.
        limits: Bounds of each model's queue.
        cores: Shared between the tenants whose models this process runs; None: it runs one tenant's.
        advice: What a model's tuning may decide; None: nothing.
        isolation: Which models get a process of their own, and its bounds; None: none does.
    """

    clock: Clock
    options: RunnerOptions
    limits: BatchLimits
    cores: Cores | None = None
    advice: Advice | None = None
    isolation: IsolationOptions | None = None

    @property
    def device(self) -> Digest | None:
        """Fingerprint of the device whose tunings are of use here; None: none is."""
        return None if self.advice is None else fingerprint_here()

    async def load(
        self, source: BundleSource, *, subject: Subject, policy: TrustPolicy, tuning: bytes | None = None
    ) -> LoadedModel:
        """Verifies a bundle and loads its model.

        Args:
            source: Where the bundle's bytes come from.
            subject: What was asked for; a validly signed other thing is refused.
            policy: The keys the tenant trusts.
            tuning: The untrusted ``tuning.json`` that lies beside the bundle; None: there is none.

        Raises:
            SignatureError: ``SIGN_*`` if the bundle is not exactly what a trusted key signed.
            ModelError: ``MODEL_003`` if the runtime refuses it, or what it declares about its batches does not fit it.
            Unavailable: ``DEVICE_001`` if there is no runner or no memory for it, ``MODEL_002`` if loading takes too long.
        """
        started = time.perf_counter()
        try:
            checked = await asyncio.to_thread(self._check, source, subject, policy, tuning)
            handle = await self._open(checked)
        except FuroshikiError as error:
            metrics.MODEL_LOADS.labels(subject.tenant, subject.model, error.code).inc()
            log.error("model_refused", model=f"{subject.tenant}/{subject.model}", code=error.code, reason=error.message)
            raise
        seconds = time.perf_counter() - started
        return self._loaded(checked.bundle, handle, seconds)

    def _check(self, source: BundleSource, subject: Subject, policy: TrustPolicy, tuning: bytes | None) -> _Checked:
        verifier = BundleVerifier(policy=policy, clock=self.clock)
        bundle = verifier.verify(source, subject=subject)
        plan = Plan(options=self.options, limits=self.limits)
        if tuning is not None and self.advice is not None:
            plan = self.advice.applied(plan, tuning, bundle=bundle, verifier=verifier, here=this_machine())
        metadata = bundle.manifest.metadata
        batching = BatchOptions.read(metadata, declared(bundle.manifest))
        if self.isolation is None or not self.isolation.wanted(metadata):
            return _Checked(bundle=bundle, batching=batching, plan=plan)
        sealed = SealedBundle(
            manifest=bundle.manifest,
            digest=bundle.digest,
            key_id=bundle.key_id,
            files=SealedFiles(bundle.files),
            options=self.isolation,
        )
        return _Checked(bundle=sealed, batching=batching, plan=plan)

    async def _open(self, checked: _Checked) -> RunnerHandle:
        bundle, plan, batching = checked.bundle, checked.plan, checked.batching
        if isinstance(bundle, SealedBundle):
            queueing = Queueing(limits=plan.limits, options=plan.options, batching=batching, cores=self.cores)
            return await isolate(bundle, queueing)
        runner = await asyncio.to_thread(open_runner, bundle, options=plan.options)
        return EmbeddedHandle(
            runner,
            limits=plan.limits,
            options=plan.options,
            label=str(bundle.manifest.ref),
            batching=batching,
            cores=self.cores,
            tenant=bundle.manifest.tenant,
        )

    def _loaded(self, bundle: VerifiedBundle | SealedBundle, handle: RunnerHandle, seconds: float) -> LoadedModel:
        manifest = bundle.manifest
        tenant, model, version = manifest.tenant, manifest.model, str(manifest.version)
        metrics.MODEL_LOADS.labels(tenant, model, "ok").inc()
        metrics.MODEL_LOAD_SECONDS.labels(tenant, model).observe(seconds)
        metrics.MODEL_INFO.labels(tenant, model, version, bundle.digest, bundle.key_id, handle.runner).inc()
        log.info(
            "model_loaded",
            model=str(manifest.ref),
            digest=bundle.digest,
            key_id=bundle.key_id,
            runner=handle.runner,
            seconds=round(seconds, 3),
        )
        return LoadedModel(
            tenant=tenant,
            model=model,
            version=version,
            digest=bundle.digest,
            key_id=bundle.key_id,
            size=manifest.size + (handle.memory if isinstance(handle, IsolatedHandle) else 0),
            covered=frozenset({bundle.digest, manifest.parent or bundle.digest, *(f.digest for f in manifest.files)}),
            handle=handle,
            output_dtypes={spec.name: spec.dtype for spec in handle.signature.outputs},
        )


def loader_of(settings: ServingSettings, *, limits: BatchLimits) -> ModelLoader:
    """The loader of a process with these settings."""
    threads = settings.runner.threads
    together = max(1, usable_cores() // threads)
    options = RunnerOptions(threads=threads, instances=settings.runner.instances or together)
    cores = Cores(together) if settings.source == "registry" else None
    return ModelLoader(
        clock=SystemClock(),
        options=options,
        limits=limits,
        cores=cores,
        advice=_advice(settings),
        isolation=None if settings.is_split else settings.isolated,
    )


def _advice(settings: ServingSettings) -> Advice | None:
    """What the operator has set is the operator's, even where it is the default."""
    if not settings.tuning.use:
        return None
    runner = settings.runner
    return Advice(
        execution="threads" not in runner.model_fields_set and runner.instances == 0,
        rows="max_rows" not in settings.batching.model_fields_set,
    )


async def load_bundle(
    settings: ServingSettings, loader: ModelLoader, trust: TrustProvider | None = None
) -> LoadedModel:
    """Verifies and loads the one bundle that the settings name.

    Args:
        settings: All.
        loader: Verifies and loads.
        trust: Whom the bundle's tenant trusts; None: as the folder of the settings says.

    Raises:
        SignatureError: ``SIGN_*`` if the bundle does not verify.
        ModelError: ``MODEL_003`` if the runtime refuses it.
    """
    source, subject = claimed(settings.bundle.path)
    policy = (trust or FileTrust(settings.trust.dir)).policy(subject.tenant)
    tuning = _tuning_beside(settings) if loader.advice is not None else None
    return await loader.load(source, subject=subject, policy=policy, tuning=tuning)


def _tuning_beside(settings: ServingSettings) -> bytes | None:
    path = settings.tuning.path or settings.bundle.path.parent / TUNING_NAME
    try:
        with path.open("rb") as file:
            return file.read(MAX_TUNING_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("tuning_ignored", reason=f"{path} cannot be read: {error.strerror}")
        return None


def claimed(folder: Path) -> tuple[DirectorySource, Subject]:
    """The bundle in a folder and what it claims to be; the verifier then holds it to that claim under the tenant's own keys.

    Raises:
        SignatureError: ``SIGN_006`` if there is no manifest, ``SIGN_010`` if it is malformed.
    """
    source = DirectorySource(folder)
    try:
        with source.open(MANIFEST_NAME) as file:
            manifest = Manifest.from_bytes(file.read(MAX_MANIFEST_BYTES + 1))
    except OSError as error:
        raise SignatureError(
            ErrorCode.FILE_MISSING, f"The bundle has no readable {MANIFEST_NAME}.", log_context={"cause": repr(error)}
        ) from None
    subject = Subject(tenant=manifest.tenant, model=manifest.model, version=manifest.version, variant=manifest.variant)
    return source, subject

# SPDX-License-Identifier: Apache-2.0
"""From a stored variant to the tar of a Bento: fetch, verify, stage a context, run BentoML in a child process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifacts.keys.interface import KeyProvider
from artifacts.manifest import FileEntry, Manifest
from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.stores.interface import BlobStore
from artifacts.tuning import TUNING_NAME, verify_tuning
from core.clock import Clock
from core.errors import ErrorCode, JobError, SignatureError
from registry_api.builds.archive import entries
from registry_api.builds.context import Blueprint
from registry_api.builds.spec import BuildSpec
from registry_api.builds.values import bento_name, bento_version
from registry_api.builds.wheel import WheelCache
from registry_api.jobs.child import run_logged
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import own_environment
from registry_api.models.bundle import fetch_bundle
from registry_api.models.source import Source
from registry_api.products.handler import WorkOptions

MODEL_FOLDER: Final = "src/model"  # of a built Bento


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions(WorkOptions):
    """Where builds work and what they may use."""

    bentoml_home: Path  # BENTOML_HOME; keeps every Bento that was built
    timeout_seconds: float = 1800.0
    memory_bytes: int = 8 << 30  # address space of the child
    blueprint: Blueprint = field(default_factory=Blueprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A Bento's archive and what is in it."""

    archive: Path
    files: tuple[FileEntry, ...]


class BentoBuilder:
    """Builds Bentos.

    Args:
        store: Where variants are read.
        keys: Tells whom a tenant trusts.
        clock: For the validity of signatures.
        wheels: Makes the SDK's wheel.
        options: Folders and limits.
    """

    def __init__(
        self, store: BlobStore, keys: KeyProvider, clock: Clock, *, wheels: WheelCache, options: BuildOptions
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._wheels = wheels
        self._options = options

    async def build(self, source: Source, scratch: Path, task: JobTask, *, tuning: bytes | None = None) -> Packed:
        """Fetches, verifies, stages and builds below ``scratch``.

        Args:
            source: The variant.
            scratch: A private folder.
            task: Told how it goes.
            tuning: The variant's ``tuning.json``, which goes in if it verifies; None: it was not tuned.

        Raises:
            SignatureError: A ``SIGN_*`` code: the variant does not verify, or the Bento does not hold what was verified.
            JobError: ``JOB_002`` if BentoML fails; its last lines are in the message.
        """
        policy = await asyncio.to_thread(self._keys.policy, source.tenant)
        context = scratch / "context"
        task.progress(0.05, "verifying the model")
        verifier = BundleVerifier(policy, self._clock)
        bundle = await fetch_bundle(self._store, verifier, source, context / "model")
        task.log(f"verified {source.ref} {source.variant} {bundle.digest}, signed by {bundle.key_id}")
        task.progress(0.2, "staging the build context")
        wheel = await self._wheels.wheel(task)
        blueprint = self._options.blueprint
        await asyncio.to_thread(
            blueprint.stage,
            context,
            model_format=source.format,
            device=source.variant.partition("/")[2],
            tenant=source.tenant,
            trust=policy.to_bytes(),
            wheel=wheel,
        )
        if tuning is not None:
            _add_tuning(context, tuning, bundle, verifier, task)
        spec = self._spec(source, context, scratch / "bento.tar")
        task.progress(0.3, f"building {spec.tag}")
        await self._run_bentoml(spec, scratch, task)
        files = await asyncio.to_thread(entries, scratch / "bento.tar")
        check_holds(files, bundle.manifest)
        return Packed(archive=scratch / "bento.tar", files=files)

    def _spec(self, source: Source, context: Path, archive: Path) -> BuildSpec:
        blueprint, options = self._options.blueprint, self._options
        name = bento_name(source.tenant, source.model)
        labels = {"tenant": source.tenant, "model": source.model, "variant": source.variant, "digest": source.digest}
        return BuildSpec(
            context=str(context),
            service=blueprint.service,
            name=name,
            version=bento_version(source.version, source.variant),
            include=blueprint.include,
            labels={**labels, "version": str(source.version)},
            archive=str(archive),
            lock=str(options.scratch / "locks" / f"{name}.lock"),
            memory_bytes=options.memory_bytes,
        )

    async def _run_bentoml(self, spec: BuildSpec, scratch: Path, task: JobTask) -> None:
        spec.write(scratch / "spec.json")
        self._options.bentoml_home.mkdir(parents=True, exist_ok=True)
        own = {"BENTOML_HOME": str(self._options.bentoml_home), "BENTOML_DO_NOT_TRACK": "True"}
        argv = [sys.executable, "-m", "registry_api.builds", "build", str(scratch / "spec.json")]
        status, last = await run_logged(argv, task, cwd=scratch, env=own_environment() | own)
        if status != 0:
            raise JobError(ErrorCode.JOB_FAILED, f"bentoml build of {spec.tag} ended with status {status}: {last}")


def _add_tuning(context: Path, tuning: bytes, bundle: VerifiedBundle, verifier: BundleVerifier, task: JobTask) -> None:
    """A tuning that does not verify any more, such as one signed by a key revoked since, is left out: it is advice."""
    try:
        verify_tuning(tuning, digest=bundle.digest, verifier=verifier)
    except SignatureError as error:
        task.log(f"left out the tuning: {error}")
        return
    (context / TUNING_NAME).write_bytes(tuning)
    task.log("added the tuning")


def check_holds(files: Iterable[FileEntry], bundle: Manifest) -> None:
    """Checks that the Bento holds the very files that were verified.

    Raises:
        SignatureError: ``SIGN_004``, naming the first file that is missing or changed.
    """
    packed = {entry.path: entry.digest for entry in files}
    for entry in bundle.files:
        if packed.get(f"{MODEL_FOLDER}/{entry.path}") != entry.digest:
            raise SignatureError(
                ErrorCode.DIGEST_MISMATCH,
                f"The Bento does not hold the verified {entry.path!r}; the build changed or left out the file.",
                details={"path": entry.path},
            )

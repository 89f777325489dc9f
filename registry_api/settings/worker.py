# SPDX-License-Identifier: Apache-2.0
"""What only the worker reads, beside :mod:`registry_api.settings.registry`. Times are seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from core.refs import NAME_PATTERN
from core.settings import Section
from core.settings import Settings as CoreSettings
from registry_api.settings.storage import GIB, PositiveFloat, PositiveInt

Instance: TypeAlias = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]


class WorkSettings(Section):
    """The worker process: ``FUROSHIKI_WORKER__*``."""

    slots: PositiveInt = 2  # jobs run at once
    drain_seconds: PositiveFloat = 5.0  # how long running jobs may take to end at a stop, before they are given back
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # None: no metrics are served
    metrics_host: str = "127.0.0.1"  # address they are served on


class BuildSettings(Section):
    """Build jobs: ``FUROSHIKI_BUILDS__*``."""

    timeout_seconds: PositiveFloat = 1800.0  # of a whole job
    memory_bytes: PositiveInt = 8 * GIB  # address space of the child process
    tflite: Literal["ai-edge-litert", "tflite-runtime"] = "ai-edge-litert"  # what TFLite Bentos are pinned to


class ImageSettings(Section):
    """Image jobs: ``FUROSHIKI_IMAGES__*``."""

    timeout_seconds: PositiveFloat = 3600.0  # of a whole job; the first one of a device class makes a base image too
    memory_bytes: PositiveInt = 16 * GIB  # address space of each process that builds
    cache_bytes: PositiveInt = 8 * GIB  # what is kept for later builds of one tenant: wheels and layers
    mirror: str | None = None  # URL of a Debian mirror for base images; None: this machine's own
    bases: Path | None = None  # folder with an OCI layout per device class, made elsewhere; None: made from the recipes


class TuningSettings(Section):
    """Tune jobs: ``FUROSHIKI_TUNINGS__*``."""

    timeout_seconds: PositiveFloat = 600.0  # of a whole job, waiting for another tuning of this machine included
    budget_seconds: PositiveFloat = 60.0  # of all measurements together
    memory_bytes: PositiveInt = 8 * GIB  # address space of the child process


class ConversionSettings(Section):
    """Convert jobs: ``FUROSHIKI_CONVERSIONS__*``."""

    timeout_seconds: PositiveFloat = 1800.0  # of a whole job
    budget_seconds: PositiveFloat = 1500.0  # of all steps of a conversion together
    memory_bytes: PositiveInt = 16 * GIB  # address space of each step


class DeploymentSettings(Section):
    """Deploy and stop jobs, and the watch over what runs: ``FUROSHIKI_DEPLOYMENTS__*``."""

    timeout_seconds: PositiveFloat = 600.0  # of a whole job
    ready_seconds: PositiveFloat = 120.0  # from the start of a process to its first answer
    grace_seconds: PositiveFloat = 10.0  # from SIGTERM to SIGKILL
    watch_seconds: PositiveFloat = 5.0  # between two comparisons of what runs with what is wanted
    silence_seconds: PositiveFloat = (
        60.0  # without a sign of a machine's workers; then its instances are replaced elsewhere
    )
    restarts: PositiveInt = 5  # of one deployment within the window; then it is given up
    restart_window_seconds: PositiveFloat = 600.0
    restart_pause_seconds: PositiveFloat = 1.0  # after the first restart; doubles with each further one
    registry_url: str | None = None  # where deployments check keys; None: the address this registry listens on


class KubernetesSettings(Section):
    """The target ``kubernetes``: ``FUROSHIKI_KUBERNETES__*``."""

    namespace: str | None = None  # where deployments run; None: this worker has no such target
    images: str | None = None  # prefix of the repositories the cluster pulls from: registry.example.com/models
    auth_file: Path | None = None  # logins of that registry of images, as docker and podman keep them; None: none
    ca_file: Path | None = None  # PEM of its authorities; None: the system's
    instance: Instance = (
        "furoshiki"  # which registry, where several share a namespace: two of one name fight over names
    )
    kubeconfig: Path | None = None  # None: the service account of the worker's own pod
    context: str | None = None  # of the kubeconfig; None: its current one
    values: Path | None = None  # YAML with values of the chart for every deployment: who may call, nodes, pull secrets
    call_seconds: PositiveFloat = 15.0  # of each call of the cluster's API
    look_seconds: PositiveFloat = 5.0  # the longest time between two looks at pods that are not ready
    ready_seconds: PositiveFloat = 300.0  # from applying to every pod ready
    compare_seconds: PositiveFloat = 60.0  # between two comparisons of a deployment's objects with what is wanted


class WorkerSettings(CoreSettings):
    """Everything only the worker reads."""

    worker: WorkSettings = WorkSettings()
    builds: BuildSettings = BuildSettings()
    images: ImageSettings = ImageSettings()
    tunings: TuningSettings = TuningSettings()
    conversions: ConversionSettings = ConversionSettings()
    deployments: DeploymentSettings = DeploymentSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()

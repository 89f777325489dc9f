# SPDX-License-Identifier: Apache-2.0
"""What only the worker reads, beside :mod:`registry_api.settings.registry`. Times are seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.settings import Section
from core.settings import Settings as CoreSettings
from registry_api.settings.storage import GIB, PositiveFloat, PositiveInt


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
    watch_seconds: PositiveFloat = 5.0  # between two looks for processes that are gone
    registry_url: str | None = None  # where deployments check keys; None: the address this registry listens on


class WorkerSettings(CoreSettings):
    """Everything only the worker reads."""

    worker: WorkSettings = WorkSettings()
    builds: BuildSettings = BuildSettings()
    tunings: TuningSettings = TuningSettings()
    conversions: ConversionSettings = ConversionSettings()
    deployments: DeploymentSettings = DeploymentSettings()

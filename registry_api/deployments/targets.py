# SPDX-License-Identifier: Apache-2.0
"""The targets a worker has, and why it has not the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import ErrorCode, Unavailable
from registry_api.deployments.target import Target
from registry_api.deployments.values import TargetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What this machine can run."""

    present: Mapping[TargetKind, Target]
    absent: Mapping[TargetKind, str] = field(default_factory=dict)  # the reason, and what to install

    def of(self, kind: TargetKind) -> Target:
        """The target of that kind.

        Raises:
            Unavailable: ``DEVICE_001`` with the reason; a worker of another machine may have it.
        """
        found = self.present.get(kind)
        if found is None:
            reason = self.absent.get(kind, "it is not set up")
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, f"Target {kind} is not to be had on this worker: {reason}")
        return found

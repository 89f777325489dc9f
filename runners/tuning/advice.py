# SPDX-License-Identifier: Apache-2.0
"""What a tuning changes of how a model is run, if anything.

It is advice. One that is not signed by a key the tenant trusts, is about another variant or was measured on another kind of
device is left alone, and the log says why (``tuning_ignored``); the model is served as the settings say. What the operator
has set stays as it is set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.tuning import Device, Tuning, verify_tuning
from core.errors import SignatureError
from core.telemetry.logs import get_logger
from runners.batching.policy import BatchLimits
from runners.interface import RunnerOptions
from runners.tuning.device import Machine

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a model is run."""

    options: RunnerOptions
    limits: BatchLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What tunings may decide.

    Attributes:
        execution: Instances and threads; False: the operator has set one of them.
        rows: The most rows of one execution; False: the operator has set them.
    """

    execution: bool = True
    rows: bool = True

    def applied(
        self, plan: Plan, document: bytes, *, bundle: VerifiedBundle, verifier: BundleVerifier, here: Machine | Device
    ) -> Plan:
        """The plan with what a tuning says.

        Args:
            plan: What the settings say.
            document: The untrusted ``tuning.json``.
            bundle: The model.
            verifier: Knows whom the tenant trusts.
            here: This device.
        """
        model = str(bundle.manifest.ref)
        try:
            tuning = verify_tuning(document, digest=bundle.digest, verifier=verifier)
        except SignatureError as error:
            log.warning("tuning_ignored", model=model, reason=error.message, code=error.code)
            return plan
        reason = self._objection(tuning, here)
        if reason is not None:
            log.info("tuning_ignored", model=model, reason=reason)
            return plan
        changed = self._changed(plan, tuning)
        log.info(
            "tuning_used",
            model=model,
            instances=changed.options.instances,
            threads=changed.options.threads,
            max_rows=changed.limits.max_rows,
        )
        return changed

    def _objection(self, tuning: Tuning, here: Machine | Device) -> str | None:
        if not (self.execution or self.rows):
            return "the settings decide everything it could"
        if tuning.device.fingerprint != here.fingerprint:
            there = tuning.device
            return f"measured on {there.cores} cores of {there.cpu}; here are {here.cores} cores of {here.cpu}"
        return None

    def _changed(self, plan: Plan, tuning: Tuning) -> Plan:
        chosen, options, limits = tuning.chosen, plan.options, plan.limits
        if self.execution:
            options = RunnerOptions(threads=chosen.threads, instances=chosen.instances)
        if self.rows and chosen.max_rows is not None:
            limits = replace(limits, max_rows=chosen.max_rows)
        return Plan(options=options, limits=limits)

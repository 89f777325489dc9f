# SPDX-License-Identifier: Apache-2.0
"""Variants: the forms of a version, which to use on a device, and their bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from furoshiki.api import API, get_request
from furoshiki.conversions import ConversionResult
from furoshiki.downloads import download_bundle
from furoshiki.progress import OnProgress
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Steps, path
from furoshiki.versions import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantForm:
    """One form of a version."""

    name: str
    state: str  # "source", "accepted", "rejected" or "revoked"
    variant: Variant | None = None  # None: it was rejected
    conversion: str | None = None  # id of the conversion that made it; None: it was uploaded
    result: ConversionResult | None = None  # None: it was uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantChoice:
    """The form to use, and why."""

    variant: Variant
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forms:
    items: tuple[VariantForm, ...]


class Variants(Resource[D]):
    """``client.variants``."""

    @operation
    def list(self, model: str, version: int) -> Steps[tuple[VariantForm, ...]]:
        """Every form of a version: uploaded, converted, and rejected with the reason."""
        found = yield from self._api.fetch(get_request(path("models", model, "versions", version, "variants")), _Forms)
        return found.items

    @operation
    def picture(self, model: str, version: int) -> Steps[bytes]:
        """The picture of all converted forms of a version by latency, size and fidelity; SVG."""
        where = path("models", model, "versions", version, "variants", "picture")
        return (yield from self._api.send(get_request(where))).body

    @operation
    def choose(
        self,
        model: str,
        version: int,
        *,
        device: str = "cpu",
        objective: str = "latency",
        formats: Collection[str] | None = None,
        fidelity: float | None = None,
    ) -> Steps[VariantChoice]:
        """The form to use on a device, from the measured reports.

        Args:
            model: The model.
            version: Its version.
            device: Where it is to run.
            objective: ``latency``, ``throughput``, ``size``, ``fidelity``, or ``source``: what was uploaded, if that runs.
            formats: What runs there; None: every format that a runner loads.
            fidelity: The least cosine with the source's answers.

        Raises:
            Conflict: ``STATE_001`` if no form can be used, with the reason for each.
        """
        query = {"device": device, "objective": objective}
        if formats is not None:
            query["formats"] = ",".join(sorted(formats))
        if fidelity is not None:
            query["fidelity"] = str(fidelity)
        where = path("models", model, "versions", version, "variants", "choice")
        return (yield from self._api.fetch(get_request(where, query), VariantChoice))

    @operation
    def download(
        self,
        model: str,
        version: int,
        variant: str,
        directory: Path | str,
        *,
        digest: str | None = None,
        progress: OnProgress | None = None,
    ) -> Steps[Path]:
        """Downloads a variant's signed bundle, as :meth:`furoshiki.versions.Versions.download` does a version's.

        Args:
            model: The model.
            version: Its version.
            variant: Such as ``tflite-int8/cpu``.
            directory: Where to; must not exist yet, or be empty.
            digest: Of its manifest, where it is known; None: as the registry announces it.
            progress: Told the bytes so far.

        Returns:
            The directory.
        """
        if digest is None:
            forms = yield from Variants.list.steps(self, model, version)
            digest = next((form.variant.digest for form in forms if form.name == variant and form.variant), "")
        root = API + path("models", model, "versions", version, "variants", *variant.split("/"))
        yield from download_bundle(self._api, root, digest, Path(directory), progress)
        return Path(directory)

# SPDX-License-Identifier: Apache-2.0
"""The configuration of an image: how it starts and stops, as whom, and what its layers are.

Follows the OCI image specification v1.1, ``config.md``. The start is a list, not a shell line, so the server is process 1 and
gets the signal that ends it. Health is asked over HTTP (``/livez``, ``/readyz``): OCI images have no health check of their
own. Nothing below ``/`` needs to be written to but ``/tmp``. Canonical JSON: the same image has the same digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import rfc8785

from artifacts.oci.documents import ImageManifest, strict_json
from artifacts.oci.layout import Layout, Platform
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.supply.contents import NAME_LABEL, diff_ids
from core.clock import rfc3339
from registry_api.images.builders.interface import BENTO_PATH, USER, Base, BuildRequest, BuiltLayer

START: Final = ("/usr/bin/python3", "-m", "bentoml", "serve", f"/{BENTO_PATH}")
STOP: Final = "SIGTERM"
PORT: Final = 3000
ENVIRONMENT: Final[Mapping[str, str]] = {
    "BENTOML_CONTAINERIZED": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108 - of the container
    "BENTOML_HOST": "0.0.0.0",  # noqa: S104 - of the container
    "BENTOML_PORT": str(PORT),
    "BENTO_PATH": f"/{BENTO_PATH}",
    "FUROSHIKI_HOME": "/tmp/furoshiki",  # noqa: S108 - of the container
    "FUROSHIKI_SOURCE": "bundle",
    "HOME": "/tmp",  # noqa: S108 - of the container
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
MODEL_LABEL: Final = "dev.furoshiki.model"
BENTO_LABEL: Final = "dev.furoshiki.bento"


def labels_of(request: BuildRequest) -> dict[str, str]:
    """What an image says about itself: the standard annotations, the model and the Bento."""
    manifest = request.manifest
    return {
        **request.labels,
        "org.opencontainers.image.title": str(manifest.ref),
        "org.opencontainers.image.created": rfc3339(manifest.created_at),
        "org.opencontainers.image.base.digest": request.base.image.digest,
        MODEL_LABEL: f"{manifest.ref} {manifest.variant}",
        BENTO_LABEL: manifest.digest,
    }


def configuration(
    platform: Platform,
    layers: Sequence[BuiltLayer],
    *,
    created: datetime | None,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    start: Sequence[str],
) -> bytes:
    """The configuration of an image with these layers."""
    when = {} if created is None else {"created": rfc3339(created)}
    return rfc8785.dumps(
        {
            **when,
            "architecture": platform.architecture,
            "os": platform.os,
            **({} if platform.variant is None else {"variant": platform.variant}),
            "config": {
                "User": f"{USER}:{USER}",
                "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
                "Entrypoint": list(start),
                "WorkingDir": f"/{BENTO_PATH}",
                "ExposedPorts": {f"{PORT}/tcp": {}},
                "StopSignal": STOP,
                "Labels": dict(labels),
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{**when, "created_by": f"furoshiki: {layer.name}"} for layer in layers],
        }
    )


def put_image(request: BuildRequest, layers: Sequence[BuiltLayer], target: Layout) -> ImageManifest:
    """Writes configuration and manifest of a Bento's image; returns the manifest."""
    labels = labels_of(request)
    data = configuration(
        request.platform,
        layers,
        created=request.manifest.created_at,
        labels=labels,
        environment={**environment_of(request.base), **ENVIRONMENT},
        start=START,
    )
    return ImageManifest(
        config=target.put_bytes(data, media_type=IMAGE_CONFIG),
        layers=tuple(layer.blob.annotated(**{NAME_LABEL: layer.name}) for layer in layers),
        annotations=labels,
    )


def platform_of(base: Base) -> Platform:
    """What an image runs on, as its configuration says.

    Raises:
        SignatureError: A ``SIGN_*`` code if it cannot be read.
    """
    found = read_configuration(base.layout, base.layout.manifest(base.image))
    variant = found.get("variant")
    return Platform(
        architecture=str(found.get("architecture")),
        os=str(found.get("os")),
        variant=None if variant is None else str(variant),
    )


def environment_of(base: Base) -> dict[str, str]:
    """The variables that an image built on ``base`` inherits."""
    config = read_configuration(base.layout, base.layout.manifest(base.image)).get("config") or {}
    return dict(str(line).partition("=")[::2] for line in config.get("Env") or ())


def read_configuration(layout: Layout, manifest: ImageManifest) -> dict[str, Any]:
    """The configuration of an image.

    Raises:
        SignatureError: A ``SIGN_*`` code if it is missing, changed or no JSON object.
    """
    found = strict_json(layout.read_blob(manifest.config))
    return found if isinstance(found, dict) else {}


def layers_of(layout: Layout, manifest: ImageManifest, *, name: str) -> Iterable[BuiltLayer]:
    """The layers of an image that somebody else made, each called ``name`` unless it says what it is."""
    for blob, diff_id in zip(manifest.layers, diff_ids(layout, manifest), strict=True):
        yield BuiltLayer(name=blob.annotations.get(NAME_LABEL, name), blob=blob.content, size=0, diff_id=diff_id)

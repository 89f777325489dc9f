# SPDX-License-Identifier: Apache-2.0
"""The model of an image as an artifact of its own: CNCF ModelPack (https://github.com/modelpack/model-spec).

Its one layer is the image's model layer, the same blob: a registry stores it once, and tools that know ModelPack (Kubernetes
image volumes, KServe, modctl) get the signed bundle without the server around it.
"""

from __future__ import annotations

from typing import Final

import rfc8785

from artifacts.manifest import Manifest
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.supply.contents import BENTO_PATH
from core.clock import rfc3339

ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.tar+gzip"
FILEPATH: Final = "org.cncf.model.filepath"
MODEL_PATH: Final = f"{BENTO_PATH}/src/model"
_REDUCED: Final = ("int8", "int16", "dynamic-int8")


def put_model_pack(layout: Layout, model: Manifest, layer: Descriptor, *, diff_id: str) -> Descriptor:
    """Writes the artifact; returns the descriptor of its manifest.

    Args:
        layout: Holds the layer already.
        model: The manifest of the bundle inside.
        layer: The image's model layer.
        diff_id: Digest of its uncompressed tar.
    """
    precision = model.variant.partition("/")[0].removeprefix(f"{model.format}-")
    described: dict[str, object] = {"format": model.format, "precision": precision}
    if precision in _REDUCED:
        described["quantization"] = precision
    config = {
        "descriptor": {
            "createdAt": rfc3339(model.created_at),
            "name": f"{model.tenant}/{model.model}",
            "version": str(model.version),
            "revision": model.digest,
        },
        "config": described,
        "modelfs": {"type": "layers", "diffIds": [diff_id]},
    }
    weight = Descriptor(
        media_type=WEIGHT_TYPE, digest=layer.digest, size=layer.size, annotations={FILEPATH: MODEL_PATH}
    )
    return layout.put_manifest(
        ImageManifest(
            config=layout.put_bytes(rfc8785.dumps(config), media_type=CONFIG_TYPE),  # type: ignore[arg-type] # all JSON
            layers=(weight,),
            artifact_type=ARTIFACT_TYPE,
        )
    )

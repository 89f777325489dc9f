# SPDX-License-Identifier: Apache-2.0
"""The model of an image as an artifact of its own: CNCF ModelPack (https://github.com/modelpack/model-spec, v1).

Its one layer is the image's model layer, the same blob: a registry stores it once, and tools that know ModelPack get
the signed bundle without the server around it. It is attached to the image, so it goes where the image goes.

Law: the same image and the same bundle give the same artifact.

The artifact itself is not signed, and no check of an image looks at it: anybody who can write to a registry can attach one.
What it holds is checked as any bundle is, by the signature that lies in it.
"""

from __future__ import annotations

from typing import Any, Final

import rfc8785

from artifacts.digest import Digest
from artifacts.manifest import Manifest
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.supply.contents import BENTO_PATH, NAME_LABEL, diff_ids
from core.clock import rfc3339

ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.tar+gzip"
FILEPATH: Final = "org.cncf.model.filepath"
MODEL_PATH: Final = f"{BENTO_PATH}/src/model"
MODEL_LAYER: Final = "model"  # name of the layer that holds the bundle and nothing else
_QUANTIZED: Final = {"int8": "int8", "int8dyn": "int8", "int8w16a": "mixed"}  # what these of ours compute in


def put_model_pack(layout: Layout, image: Descriptor, model: Manifest) -> Descriptor | None:
    """Writes the artifact and attaches it to an image of ``layout``.

    Args:
        layout: Holds the image.
        image: Its descriptor.
        model: The manifest of the bundle inside.

    Returns:
        The descriptor of the artifact's manifest; None if the image has no layer that is named as the model's: images of the
        builder ``bentoml`` have none.

    Raises:
        SignatureError: A ``SIGN_*`` code if the image cannot be read.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    manifest = layout.manifest(image)
    named = zip(manifest.layers, diff_ids(layout, manifest), strict=True)
    found = next(((layer, plain) for layer, plain in named if layer.annotations.get(NAME_LABEL) == MODEL_LAYER), None)
    if found is None:
        return None
    layer, plain = found
    weight = Descriptor(
        media_type=WEIGHT_TYPE, digest=layer.digest, size=layer.size, annotations={FILEPATH: MODEL_PATH}
    )
    return layout.put_manifest(
        ImageManifest(
            config=layout.put_bytes(rfc8785.dumps(_config(model, plain)), media_type=CONFIG_TYPE),
            layers=(weight,),
            artifact_type=ARTIFACT_TYPE,
            subject=image.content,
        )
    )


def _config(model: Manifest, plain: Digest) -> Any:
    """The specification's ``config.md``; ``plain`` is the digest of the layer's uncompressed tar."""
    precision = model.variant.partition("/")[0].rpartition("-")[2]
    quantized = {"quantization": precision} if precision in _QUANTIZED else {}
    return {
        "descriptor": {
            "createdAt": rfc3339(model.created_at),
            "name": f"{model.tenant}/{model.model}",
            "version": str(model.version),
            "revision": model.digest,
        },
        "config": {"format": model.format, "precision": _QUANTIZED.get(precision, precision), **quantized},
        "modelfs": {"type": "layers", "diffIds": [plain]},
    }

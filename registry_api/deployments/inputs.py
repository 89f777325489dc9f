# SPDX-License-Identifier: Apache-2.0
"""What the model inside a verified Bento takes, for the inference that proves an instance ready."""

from __future__ import annotations

from pathlib import Path

from artifacts.manifest import MANIFEST_NAME, Manifest
from artifacts.signing.verifier import VerifiedBundle
from core.errors import ErrorCode, SignatureError
from core.tensors import TensorSpec
from registry_api.builds.builder import MODEL_FOLDER


def model_inputs(bento: VerifiedBundle, folder: Path) -> tuple[TensorSpec, ...]:
    """What the model inside a verified Bento takes.

    Raises:
        SignatureError: ``SIGN_010`` if the model's manifest says nothing, ``SIGN_011`` if it is not the Bento's parent.
    """
    manifest = Manifest.from_bytes((folder / MODEL_FOLDER / MANIFEST_NAME).read_bytes())
    if manifest.digest != bento.manifest.parent:
        raise SignatureError(ErrorCode.SUBJECT_MISMATCH, "The Bento holds another model than the one it was made from.")
    if manifest.signature is None:
        raise SignatureError(ErrorCode.MANIFEST_INVALID, "The model's manifest does not tell what the model takes.")
    return manifest.signature.inputs

# SPDX-License-Identifier: Apache-2.0
"""Signs an image and everything that is said about it, and lays it beside the image, ready to be pushed as referrers.

The image's model lies there too, as an artifact of its own (:mod:`artifacts.supply.modelpack`), which needs no signature.

Law: ``verify_image`` accepts what :func:`describe_image` has described, under a policy that trusts its signer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from artifacts.digest import Digest
from artifacts.manifest import Manifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.signing.interface import Signer
from artifacts.supply.attestations import Kind, attachment_of, attest, put_attachment
from artifacts.supply.chain import SignedManifest, chain_attachment
from artifacts.supply.contents import read_contents
from artifacts.supply.cosign import cosign_attachment
from artifacts.supply.modelpack import put_model_pack
from artifacts.supply.provenance import Provenance, predicate_of
from artifacts.supply.sbom import sbom_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What is known of how an image was made."""

    bento: SignedManifest
    models: Sequence[SignedManifest]  # the bundle in the image first, what it was made from after it, the upload last
    base: Digest
    platform: str  # "linux/amd64"
    builder: str
    builder_version: str
    invocation: str  # id of the job
    started: datetime
    finished: datetime


def describe_image(
    layout: Layout, image: Descriptor, making: Making, signer: Signer, *, co_signer: Signer | None = None
) -> Descriptor | None:
    """Attaches signature, SBOM, provenance, chain and the model as an artifact of its own to an image of ``layout``.

    Args:
        layout: Holds the image.
        image: Its descriptor.
        making: How it was made.
        signer: The tenant's.
        co_signer: Signs the image once more, with P-256, for tools that know no Ed25519; None: nobody.

    Returns:
        The model's artifact; None if the image has no layer of the model alone.

    Raises:
        SignatureError: A ``SIGN_*`` code if image or manifests cannot be read.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    bento = Manifest.from_bytes(making.bento.manifest)
    models = [Manifest.from_bytes(signed.manifest) for signed in making.models]
    contents = read_contents(layout, layout.manifest(image))
    sbom = sbom_of(image.digest, contents, name=str(bento.ref), created=bento.created_at, model=models[0].digest)
    said = {Kind.SIGNATURE: {}, Kind.SBOM: sbom, Kind.PROVENANCE: predicate_of(_provenance(making, bento, models))}
    attachments = [attachment_of(kind, attest(image.digest, kind, what, signer)) for kind, what in said.items()]
    if co_signer is not None:
        attachments.append(attachment_of(Kind.SIGNATURE, attest(image.digest, Kind.SIGNATURE, {}, co_signer)))
    signers = [signer, *([] if co_signer is None else [co_signer])]
    attachments.append(cosign_attachment(f"{bento.tenant}/{bento.model}", image.digest, signers))
    attachments.append(chain_attachment(making.bento, making.models[1:]))
    for attachment in attachments:
        put_attachment(layout, image, attachment)
    return put_model_pack(layout, image, models[0])


def _provenance(making: Making, bento: Manifest, models: Sequence[Manifest]) -> Provenance:
    return Provenance(
        bento=bento.digest,
        models=tuple((f"{model.ref} {model.variant}", model.digest) for model in models),
        base=making.base,
        platform=making.platform,
        builder=making.builder,
        builder_version=making.builder_version,
        invocation=making.invocation,
        started=making.started,
        finished=making.finished,
    )

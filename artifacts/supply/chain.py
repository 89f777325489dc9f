# SPDX-License-Identifier: Apache-2.0
"""The way from an image back to the files somebody uploaded, as signed manifests.

image ─► Bento ─► model bundle inside it ─► the bundle that was converted ─► … ─► the uploaded files

The Bento lists every file of the image's Bento folder; its ``parent`` is the model bundle, which lies in the image; from
there each ``parent`` leads to the bundle it was made from. What is not in the image itself, the Bento's manifest and the
ancestors', lies beside it as one artifact.

Guarantee of :func:`check_chain`: every step is signed by a key the tenant trusts and names the next by digest; what the image
holds in its Bento folder is what the Bento lists, no file more and none less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from artifacts.digest import Digest, hex_of
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.oci.attach import Attachment, Piece
from artifacts.oci.layout import Layout
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.bundle import MEDIA_TYPE as SIGNATURE_TYPE
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.attestations import attached
from artifacts.supply.contents import Contents
from core.errors import ErrorCode, SignatureError

ARTIFACT_TYPE: Final = "application/vnd.furoshiki.chain.v1"
MANIFEST_TYPE: Final = "application/vnd.furoshiki.manifest.v1+json"
MAX_STEPS: Final = 16  # conversions of conversions
_MODEL: Final = "src/model/"
_TITLE: Final = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A manifest as stored, and its signature."""

    manifest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Verified, from the image's Bento to the upload."""

    bento: Manifest
    models: tuple[Manifest, ...]  # the one in the image first, the uploaded one last

    @property
    def uploaded(self) -> tuple[FileEntry, ...]:
        """The files that somebody uploaded."""
        return self.models[-1].files

    def steps(self) -> tuple[str, ...]:
        """The chain for people, a line for each step."""
        shown = [f"bento {self.bento.ref} {self.bento.variant} {self.bento.digest}"]
        shown += [f"model {step.ref} {step.variant} {step.digest}" for step in self.models]
        return (*shown, *(f"file {entry.path} {entry.size} bytes {entry.digest}" for entry in self.uploaded))


def chain_attachment(bento: SignedManifest, ancestors: Sequence[SignedManifest]) -> Attachment:
    """What the chain needs beside the image.

    Args:
        bento: The Bento's manifest.
        ancestors: What the model inside was made from, step by step, the uploaded bundle last; empty if it was uploaded.
    """
    pieces = []
    for name, signed in [("bento", bento), *((f"ancestor-{at}", each) for at, each in enumerate(ancestors, start=1))]:
        parts = ((MANIFEST_NAME, MANIFEST_TYPE, signed.manifest), (SIGNATURE_NAME, SIGNATURE_TYPE, signed.signature))
        pieces += [
            Piece(media_type=media, data=data, annotations={_TITLE: f"{name}/{file}"}) for file, media, data in parts
        ]
    return Attachment(artifact_type=ARTIFACT_TYPE, pieces=tuple(pieces))


def check_chain(layout: Layout, image: Digest, contents: Contents, verifier: BundleVerifier, subject: Subject) -> Chain:
    """Follows the chain of an image.

    Args:
        layout: Where image and chain lie.
        image: Digest of its manifest.
        contents: What the image holds.
        verifier: Of the tenant.
        subject: Which model was asked for.

    Raises:
        SignatureError: ``IMAGE_007``, or the ``SIGN_*`` code of the step that does not verify.
    """
    documents = _documents(layout, image)
    bento = _verified(documents.get("bento"), verifier, subject, kind="bento")
    _check_files(bento, contents.bento)
    inside = SignedManifest(
        manifest=contents.small.get(_MODEL + MANIFEST_NAME, b""),
        signature=contents.small.get(_MODEL + SIGNATURE_NAME, b""),
    )
    models = [_verified(inside, verifier, subject, kind="model")]
    _check_parent(bento, models[0])
    while models[-1].parent is not None:
        if len(models) > MAX_STEPS:
            raise broken_chain(f"it has more than {MAX_STEPS} steps")
        signed = documents.get(f"ancestor-{len(models)}")
        any_variant = Subject(tenant=subject.tenant, model=subject.model, version=subject.version)
        found = _verified(signed, verifier, any_variant, kind="model")
        _check_parent(models[-1], found)
        models.append(found)
    return Chain(bento=bento, models=tuple(models))


def stated_subject(layout: Layout, image: Digest, tenant: str) -> Subject:
    """What the Bento's manifest beside an image states to be, unverified: for who takes any image that ``tenant`` signed.

    An image without one is of no model, so that no chain passes for it.

    Raises:
        SignatureError: ``IMAGE_007`` if what is attached cannot be read.
    """
    try:
        signed = _documents(layout, image).get("bento")
        stated = None if signed is None else Manifest.from_bytes(signed.manifest)
    except SignatureError as error:
        raise broken_chain(error.message) from None
    if stated is None:
        return Subject(tenant=tenant, model="")
    return Subject(tenant=tenant, model=stated.model, version=stated.version)


def broken_chain(reason: str) -> SignatureError:
    """The way back to the upload is broken: ``IMAGE_007``."""
    return SignatureError(
        ErrorCode.IMAGE_CHAIN,
        f"The chain from the image to the uploaded files is broken: {reason.rstrip('.')}. "
        "Do not run the image; build it again.",
        details={"reason": reason[:300]},
    )


def _documents(layout: Layout, image: Digest) -> dict[str, SignedManifest]:
    """The signed manifests beside the image, by name."""
    found: dict[str, dict[str, bytes]] = {}
    for artifact in attached(layout, image, ARTIFACT_TYPE):
        for blob in artifact.layers:
            name, _, file = blob.annotations.get(_TITLE, "").partition("/")
            limit = MAX_MANIFEST_BYTES if file == MANIFEST_NAME else MAX_SIGNATURE_BYTES
            found.setdefault(name, {})[file] = layout.read_blob(blob, limit=limit)
    return {
        name: SignedManifest(manifest=files[MANIFEST_NAME], signature=files[SIGNATURE_NAME])
        for name, files in found.items()
        if MANIFEST_NAME in files and SIGNATURE_NAME in files
    }


def _verified(signed: SignedManifest | None, verifier: BundleVerifier, subject: Subject, *, kind: str) -> Manifest:
    if signed is None or not signed.manifest or not signed.signature:
        raise broken_chain(f"the signed manifest of a {kind} is missing")
    wanted = Subject(
        tenant=subject.tenant,
        model=subject.model,
        version=subject.version,
        variant=subject.variant,
        kind="bento" if kind == "bento" else "model",
    )
    return verifier.verify_manifest(signed.manifest, signed.signature, subject=wanted)


def _check_parent(made: Manifest, source: Manifest) -> None:
    if made.parent != source.digest:
        raise broken_chain(
            f"{made.kind} {made.ref} {made.variant} was made from {made.parent}, not from {source.digest}"
        )


def _check_files(bento: Manifest, held: Mapping[str, Digest]) -> None:
    listed = {entry.path: entry.digest for entry in bento.files}
    for path in sorted(listed.keys() | held.keys()):
        if listed.get(path) != held.get(path):
            got = "not there" if path not in held else f"{hex_of(held[path])[:16]}…"
            expected = "not listed" if path not in listed else f"{hex_of(listed[path])[:16]}…"
            raise broken_chain(f"the image's Bento file {path!r} is {got}; its signed manifest says {expected}")

# SPDX-License-Identifier: Apache-2.0
"""The check of an image: what passes, and the code of everything that does not."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.oci.layout import Descriptor
from artifacts.signing.bundle import MEDIA_TYPE
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.stores.testing import refused
from artifacts.supply.attestations import (
    PREDICATE_ANNOTATION,
    Kind,
    attached,
    attachment_of,
    attest,
    put_attachment,
)
from artifacts.supply.chain import ARTIFACT_TYPE, SignedManifest
from artifacts.supply.contents import BENTO_PATH
from artifacts.supply.describing import describe_image
from artifacts.supply.testing import Described, layer_of, make_image, put_image
from artifacts.testing import FILES, trust
from core.errors import ErrorCode


@pytest.fixture
def described(tmp_path: Path) -> Described:
    return make_image(tmp_path / "layout", converted=True)


def _statement(described: Described, kind: Kind) -> Descriptor:
    """The blob of a statement about the image."""
    found = [
        manifest.layers[0]
        for manifest in attached(described.layout, described.image.digest, MEDIA_TYPE)
        if manifest.annotations[PREDICATE_ANNOTATION] == kind
    ]
    assert len(found) == 1
    return found[0]


def _detach(described: Described, kind: Kind) -> None:
    for entry in described.layout.index().manifests:
        manifest = described.layout.manifest(entry)
        if manifest.annotations.get(PREDICATE_ANNOTATION) == kind:
            described.layout.remove(entry.digest)


def test_a_described_image_verifies_and_tells_its_chain(described: Described) -> None:
    """From the image over Bento and converted model to each uploaded file, with the digests of all."""
    verified = described.verify()
    assert verified.packages == 2
    assert [model.variant for model in verified.chain.models] == ["onnx-int8/cpu", "onnx-fp32/cpu"]
    assert {entry.path for entry in verified.chain.uploaded} == set(FILES)
    lines = verified.lines()
    assert lines[0] == f"image {described.image.digest}"
    assert lines[3] == f"bento acme/digits@3 onnx-int8/cpu {described.bento.digest}"
    assert lines[-1].startswith("file model.onnx")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.SIGNATURE, ErrorCode.SIGNATURE_INVALID),
        (Kind.SBOM, ErrorCode.IMAGE_SBOM),
        (Kind.PROVENANCE, ErrorCode.IMAGE_PROVENANCE),
    ],
)
def test_a_flipped_byte_in_a_statement_has_its_own_code(described: Described, kind: Kind, code: ErrorCode) -> None:
    """One bit of signature, SBOM or provenance."""
    described.flip(_statement(described, kind))
    with refused(code):
        described.verify()


@pytest.mark.parametrize("layer", [0, 1])
def test_a_flipped_byte_in_a_layer_is_refused(described: Described, layer: int) -> None:
    """One bit of a layer: SIGN_004."""
    described.flip(described.layout.manifest(described.image).layers[layer])
    with refused(ErrorCode.DIGEST_MISMATCH):
        described.verify()


def test_a_flipped_byte_in_the_chain_is_refused(described: Described) -> None:
    """One bit of a manifest on the way back to the upload: IMAGE_007."""
    described.flip(next(iter(attached(described.layout, described.image.digest, ARTIFACT_TYPE))).layers[0])
    with refused(ErrorCode.IMAGE_CHAIN):
        described.verify()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.SIGNATURE, ErrorCode.SIGNATURE_MISSING),
        (Kind.SBOM, ErrorCode.IMAGE_SBOM),
        (Kind.PROVENANCE, ErrorCode.IMAGE_PROVENANCE),
    ],
)
def test_a_missing_statement_is_refused(described: Described, kind: Kind, code: ErrorCode) -> None:
    """No signature is SIGN_001; no SBOM and no provenance have the codes of theirs."""
    _detach(described, kind)
    with refused(code):
        described.verify()


def test_a_stranger_cannot_sign(described: Described) -> None:
    """What another key signed is not taken, whatever it says."""
    described.policy = trust(Ed25519Signer.generate())
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        described.verify()


def test_a_revoked_signer_is_told_as_revoked(described: Described) -> None:
    """SIGN_009, not a code of the image's."""
    described.policy = replace(described.policy, revoked_keys=frozenset({described.signer.key_id}))
    with refused(ErrorCode.REVOKED):
        described.verify()


def test_a_co_signature_does_no_harm(described: Described) -> None:
    """A P-256 signature by a key that no policy trusts stands beside the one that counts."""
    extra = attest(described.image.digest, Kind.SIGNATURE, {}, EcdsaP256Signer.generate())
    put_attachment(described.layout, described.image, attachment_of(Kind.SIGNATURE, extra))
    assert described.verify().image == described.image.digest


def test_statements_of_one_image_do_not_pass_for_another(described: Described, tmp_path: Path) -> None:
    """A signature attached to another image says nothing of it."""
    other = make_image(tmp_path / "other")
    _detach(other, Kind.SIGNATURE)
    stolen = attest(described.image.digest, Kind.SIGNATURE, {}, other.signer)
    put_attachment(other.layout, other.image, attachment_of(Kind.SIGNATURE, stolen))
    with refused(ErrorCode.SIGNATURE_INVALID, "subject"):
        other.verify()


def test_an_sbom_must_list_what_the_layers_hold(described: Described) -> None:
    """A validly signed SBOM that leaves out a package is refused: IMAGE_005."""
    _detach(described, Kind.SBOM)
    image = described.image.digest
    nothing = {"metadata": {"component": {"version": image}}, "components": []}
    forged = attachment_of(Kind.SBOM, attest(image, Kind.SBOM, nothing, described.signer))
    put_attachment(described.layout, described.image, forged)
    with refused(ErrorCode.IMAGE_SBOM, "differ in"):
        described.verify()


def _rebuilt(described: Described, extra: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    """Puts a layer more upon the image and describes it again, with the right key."""
    manifest = described.layout.manifest(described.image)
    layers = [gzip.decompress(described.blob(layer).read_bytes()) for layer in manifest.layers]
    described.image = put_image(described.layout, [*layers, layer_of(extra, links=links)])
    describe_image(described.layout, described.image, described.making, described.signer)


@pytest.mark.parametrize(
    "extra",
    [
        {f"{BENTO_PATH}/src/sitecustomize.py": b"import os"},
        {f"{BENTO_PATH}/bento.yaml": b"name: other\n"},
        {f"{BENTO_PATH}/src/model/.wh.model.onnx": b""},
        {f"{BENTO_PATH}/src/.wh..wh..opq": b""},
        {f"./{BENTO_PATH}/src/model/model.onnx": b"another model"},
    ],
    ids=["added", "replaced", "removed", "emptied", "with a dot"],
)
def test_the_image_holds_what_the_bento_lists(described: Described, extra: dict[str, bytes]) -> None:
    """A later layer that adds, replaces or removes a file of the Bento breaks the chain, even if everything is signed."""
    _rebuilt(described, extra)
    with refused(ErrorCode.IMAGE_CHAIN):
        described.verify()


@pytest.mark.parametrize("path", [f"{BENTO_PATH}/src/model", BENTO_PATH, "home", f"{BENTO_PATH}/bento.yaml"])
def test_a_link_in_the_place_of_a_folder_breaks_the_chain(described: Described, path: str) -> None:
    """What a container would find behind the link is not what was signed."""
    _rebuilt(described, {}, {path: "/elsewhere"})
    with refused(ErrorCode.IMAGE_CHAIN):
        described.verify()


def test_another_model_is_not_what_was_asked_for(described: Described) -> None:
    """A validly signed image of another version is refused."""
    described.subject = replace(described.subject, version=4)
    with refused(ErrorCode.IMAGE_CHAIN, "version"):
        described.verify()


def test_a_chain_without_its_ancestor_is_broken(tmp_path: Path) -> None:
    """A converted model whose source's manifest is not attached cannot be followed to the upload."""
    described = make_image(tmp_path / "layout", converted=True)
    for entry in described.layout.index().manifests:
        if entry.artifact_type == ARTIFACT_TYPE:
            described.layout.remove(entry.digest)
    bento = SignedManifest(manifest=described.making.bento.manifest, signature=described.making.bento.signature)
    described.making = replace(described.making, bento=bento, models=described.making.models[:1])
    describe_image(described.layout, described.image, described.making, described.signer)
    with refused(ErrorCode.IMAGE_CHAIN, "missing"):
        described.verify()


def test_provenance_must_name_the_bento(described: Described) -> None:
    """A validly signed provenance of another base is refused: IMAGE_006."""
    _detach(described, Kind.PROVENANCE)
    making = replace(described.making, base="sha256:" + "0" * 64)
    describe_image(described.layout, described.image, making, described.signer)
    with refused(ErrorCode.IMAGE_PROVENANCE, "base"):
        described.verify()


def test_describing_again_gives_the_same_sbom(described: Described) -> None:
    """The SBOM depends on the image alone: describing twice writes no second one."""
    before = _statement(described, Kind.SBOM)
    describe_image(described.layout, described.image, described.making, described.signer)
    assert _statement(described, Kind.SBOM) == before

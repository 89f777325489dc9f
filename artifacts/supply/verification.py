# SPDX-License-Identifier: Apache-2.0
"""The one check of an image before anybody runs it. A pure function of a layout, a trust policy and what was asked for.

:func:`verify_image` makes four checks, in this order, each with a code of its own:

1. **signature**: a key the tenant trusts signed this digest (``SIGN_001`` none, ``SIGN_002`` damaged, ``SIGN_003`` by another
   key, ``SIGN_008`` expired, ``SIGN_009`` revoked); manifest, configuration and every layer have the digests that follow from
   it (``SIGN_004``), and none of these, nor the base's, was revoked (``SIGN_009``);
2. **SBOM**: signed, of this image, and listing the very packages that its layers hold (``IMAGE_005``);
3. **provenance**: signed, of this image, and naming the Bento, the models and the base that the image has (``IMAGE_006``);
4. **chain**: from the image's files over the Bento and the models to the upload, each step signed (``IMAGE_007``).

Of several statements of a kind one that verifies is enough: a P-256 co-signature, or one by a key that is not trusted any
more, does no harm. It does not look into what
Python and Debian packages contain: the SBOM names them, the base image and the pins decide what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from artifacts.digest import Digest
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import MANIFESTS
from artifacts.oci.refusals import invalid_document
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.attestations import PREDICATE_ANNOTATION, Kind, attestations, read_attestation
from artifacts.supply.chain import ARTIFACT_TYPE as CHAIN_TYPE
from artifacts.supply.chain import Chain, broken_chain, check_chain
from artifacts.supply.contents import Contents, read_contents
from artifacts.supply.provenance import Provenance, provenance_in
from artifacts.supply.sbom import image_in, packages_in
from core.errors import ErrorCode, FuroshikiError, SignatureError

BASE_LABEL: Final = "org.opencontainers.image.base.digest"
_STANDING: Final = frozenset({ErrorCode.SIGNER_UNTRUSTED, ErrorCode.SIGNATURE_EXPIRED, ErrorCode.REVOKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedImage:
    """An image that passed every check."""

    image: Digest  # of its manifest
    chain: Chain
    provenance: Provenance
    packages: int  # listed in its SBOM

    def lines(self) -> tuple[str, ...]:
        """The chain from the image to the upload, for people."""
        made = self.provenance
        head = (
            f"image {self.image}",
            f"built by {made.builder} {made.builder_version} for {made.platform} on base {made.base}",
            f"packages {self.packages}",
        )
        return (*head, *self.chain.steps())


def verify_image(layout: Layout, image: Descriptor, verifier: BundleVerifier, subject: Subject) -> VerifiedImage:
    """Makes every check of this module.

    Args:
        layout: Holds the image and what is attached to it; untrusted.
        image: The descriptor of the image's manifest: what was asked for by digest.
        verifier: Knows whom the tenant trusts, and the time.
        subject: The model that is expected inside; its ``kind`` does not matter.

    Raises:
        SignatureError: With the code of the check that failed; the message says what and what to do.
        NotFound: ``STORE_002`` if a part of the image is not in the layout.
    """
    check_signed(layout, image, verifier)
    manifest = layout.manifest(image)
    verifier.refuse_revoked({f"blob {blob.digest[:19]}": blob.digest for blob in manifest.blobs})
    contents = read_contents(layout, manifest)
    packages = _as(ErrorCode.IMAGE_SBOM, "SBOM", lambda: _check_sbom(layout, image.digest, contents, verifier))
    made = _as(ErrorCode.IMAGE_PROVENANCE, "provenance", lambda: _read_provenance(layout, image.digest, verifier))
    verifier.refuse_revoked({"base image": made.base})
    chain = _as(ErrorCode.IMAGE_CHAIN, "chain", lambda: check_chain(layout, image.digest, contents, verifier, subject))
    _check_inputs(made, chain, manifest)
    return VerifiedImage(image=image.digest, chain=chain, provenance=made, packages=packages)


def check_signed(layout: Layout, image: Descriptor, verifier: BundleVerifier) -> None:
    """Makes the first check, which needs nothing of the image but its digest: before anything of a stranger's is downloaded.

    Raises:
        SignatureError: ``SIGN_001``, ``SIGN_002``, ``SIGN_003``, ``SIGN_008`` or ``SIGN_009``; ``SIGN_010`` if ``image`` is
            an index.
    """
    if image.media_type not in MANIFESTS:
        raise invalid_document("mediaType", image.media_type, "one image; name its --platform or --image")
    verifier.refuse_revoked({"image": image.digest})
    _signed(layout, image.digest, Kind.SIGNATURE, verifier)


def damaged(entry: Descriptor, error: SignatureError) -> SignatureError:
    """What is told of something attached to an image that is not what its digest says, under the code of what it is.

    Args:
        entry: As a registry or a layout lists it.
        error: What was found.
    """
    kind = entry.annotations.get(PREDICATE_ANNOTATION)
    if kind == Kind.SIGNATURE:
        return _damaged(Kind.SIGNATURE, error)
    if kind == Kind.SBOM:
        return _wrong(ErrorCode.IMAGE_SBOM, "SBOM", error.message)
    if kind == Kind.PROVENANCE:
        return _wrong(ErrorCode.IMAGE_PROVENANCE, "provenance", error.message)
    return broken_chain(error.message) if entry.artifact_type == CHAIN_TYPE else error


def _damaged(kind: Kind, error: FuroshikiError) -> SignatureError:
    return SignatureError(
        ErrorCode.SIGNATURE_INVALID, f"The {kind.name.lower()} attached to the image is damaged: {error.message}"
    )


def _signed(layout: Layout, image: Digest, kind: Kind, verifier: BundleVerifier) -> dict[str, Any]:
    """The predicate of the first statement of a kind that verifies.

    Raises:
        SignatureError: ``SIGN_001`` if there is none at all; what is wrong with the last one if none verifies.
    """
    refused = SignatureError(
        ErrorCode.SIGNATURE_MISSING, f"No {kind.name.lower()} of the image {image} is attached to it."
    )
    try:
        for data in attestations(layout, image, kind):
            try:
                return read_attestation(data, kind, image, verifier)
            except SignatureError as error:
                refused = error
    except FuroshikiError as error:
        if error.code is ErrorCode.STORE_FULL:
            raise
        raise _damaged(kind, error) from None
    raise refused


def _check_sbom(layout: Layout, image: Digest, contents: Contents, verifier: BundleVerifier) -> int:
    sbom = _signed(layout, image, Kind.SBOM, verifier)
    if image_in(sbom) != image:
        raise _wrong(ErrorCode.IMAGE_SBOM, "SBOM", f"it is of {image_in(sbom)}")
    listed, held = packages_in(sbom), {package.purl for package in contents.packages}
    if listed != held:
        some = sorted(listed ^ held)[:3]
        raise _wrong(ErrorCode.IMAGE_SBOM, "SBOM", f"it and the layers differ in {', '.join(some)}")
    return len(listed)


def _read_provenance(layout: Layout, image: Digest, verifier: BundleVerifier) -> Provenance:
    predicate = _signed(layout, image, Kind.PROVENANCE, verifier)
    try:
        return provenance_in(predicate)
    except (ValueError, KeyError) as error:
        raise _wrong(ErrorCode.IMAGE_PROVENANCE, "provenance", f"it cannot be read ({error})") from None


def _check_inputs(made: Provenance, chain: Chain, manifest: ImageManifest) -> None:
    if made.bento != chain.bento.digest:
        raise _wrong(ErrorCode.IMAGE_PROVENANCE, "provenance", f"it names the Bento {made.bento}")
    if [digest for _name, digest in made.models] != [model.digest for model in chain.models]:
        raise _wrong(ErrorCode.IMAGE_PROVENANCE, "provenance", "it names other models")
    base = manifest.annotations.get(BASE_LABEL)
    if base is not None and base != made.base:
        raise _wrong(ErrorCode.IMAGE_PROVENANCE, "provenance", f"it names the base {made.base}; the image says {base}")


def _as(code: ErrorCode, what: str, check: Callable[[], Any]) -> Any:
    """Runs a check; what is wrong with a signature is told under the code of what was signed."""
    try:
        return check()
    except SignatureError as error:
        if error.code is code or error.code in _STANDING:
            raise
        if code is ErrorCode.IMAGE_CHAIN:
            raise broken_chain(error.message) from None
        raise _wrong(code, what, error.message, cause={"cause": str(error.code)}) from None


def _wrong(code: ErrorCode, what: str, reason: str, cause: Mapping[str, str] | None = None) -> SignatureError:
    return SignatureError(
        code,
        f"The {what} of the image does not verify: {reason.rstrip('.')}. Do not run the image; build it again.",
        details={"reason": reason[:300], **(cause or {})},
    )

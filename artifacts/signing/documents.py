# SPDX-License-Identifier: Apache-2.0
"""Signatures over documents that are neither a bundle nor beside one: parity reports and calibration data.

A Sigstore bundle v0.3 with a bare key, as ``model.sig`` is (:mod:`artifacts.signing.bundle`), around an in-toto Statement v1.
Its subjects are the document itself and what it is about; its predicate repeats the facts that make the document what it is.
The predicate type keeps the kinds apart: a signature of one never passes for one of another, nor for a bundle's.

Law: ``verify_document(sign_document(claim, signer), claim, verifier)`` returns for every claim and refuses
every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import rfc8785

from artifacts.digest import Digest, hex_of
from artifacts.signing.bundle import seal
from artifacts.signing.interface import Signer
from artifacts.signing.statement import STATEMENT_TYPE
from artifacts.signing.verifier import BundleVerifier
from core.errors import ErrorCode, SignatureError


class DocumentKind(StrEnum):
    """Predicate types; the comment on each line is what the document is."""

    PARITY = "https://furoshiki.dev/parity/v1"  # how a converted variant compares with its source
    CALIBRATION = "https://furoshiki.dev/calibration/v1"  # inputs that quantization may be calibrated on


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is signed."""

    kind: DocumentKind
    name: str  # of the document, for people: "acme/digits@3 tflite-int8/cpu"
    digest: Digest  # of the document's bytes
    about: Mapping[str, Digest]  # what it is about, by name; may be empty
    facts: Mapping[str, str | bool | int]  # what else the signature is to say


def sign_document(claim: Claim, signer: Signer) -> bytes:
    """The signature file of a document. May ask another machine, so this blocks."""
    return seal(_payload(claim), signer)


def verify_document(signature: bytes, claim: Claim, verifier: BundleVerifier) -> None:
    """Checks that a trusted key signed this very claim.

    Raises:
        SignatureError: A ``SIGN_*`` code; ``SIGN_011`` if it is signed, but says something else.
    """
    envelope = verifier.verify_envelope(signature, name=claim.name)
    if envelope.payload != _payload(claim):
        raise SignatureError(ErrorCode.SUBJECT_MISMATCH, f"{claim.name} is signed, but for something else.")


def _payload(claim: Claim) -> bytes:
    subjects = {claim.name: claim.digest, **claim.about}
    return rfc8785.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": hex_of(digest)}} for name, digest in subjects.items()],
            "predicateType": claim.kind,
            "predicate": dict(claim.facts),
        }
    )

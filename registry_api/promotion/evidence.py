# SPDX-License-Identifier: Apache-2.0
"""Evidence: documents about a version that gates ask for, signed by the registry for the version they are about.

The signature is a Sigstore bundle v0.3 with a bare key, as ``tuning.json`` has (:mod:`artifacts.tuning`), around an in-toto
Statement v1 whose subject is the digest of the version's manifest and whose predicate names kind and digest of the
document. A row that was changed, or moved to another version, no longer verifies and does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import rfc8785

from artifacts.digest import Digest, digest_bytes, hex_of
from artifacts.signing.bundle import Envelope, encode_envelope, pae
from artifacts.signing.interface import Signer
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import STATEMENT_TYPE
from artifacts.signing.verifier import BundleVerifier
from core.errors import ErrorCode, InvalidRequest, SignatureError
from registry_api.promotion.values import Evidence

PREDICATE_TYPE: Final = "https://furoshiki.dev/evidence/v1"
_NAME: Final = "evidence"


class Kind(StrEnum):
    """What a document says; the comment on each line is what it must have."""

    PARITY = "parity"  # passed: true or false
    LATENCY = "latency"  # at least one of p50_ms, p99_ms, rows_per_s, as a number
    SBOM = "sbom"  # CycloneDX (bomFormat) or SPDX (spdxVersion) as JSON
    EVALUATION = "evaluation"  # anything


MEASURES: Final = ("p50_ms", "p99_ms", "rows_per_s")


def digest_of(content: Mapping[str, Any]) -> Digest:
    """The digest of a document's canonical JSON.

    Raises:
        InvalidRequest: ``VALID_002`` if it has none, as a whole number beyond 2^53 has not.
    """
    try:
        return digest_bytes(rfc8785.dumps(dict(content)))
    except rfc8785.CanonicalizationError as error:
        raise _invalid(f"has no canonical JSON form: {error}") from None


def check_content(kind: Kind, content: Mapping[str, Any]) -> None:
    """Checks that a document has what its kind needs.

    Raises:
        InvalidRequest: ``VALID_002`` if it has not.
    """
    match kind:
        case Kind.PARITY if not isinstance(content.get("passed"), bool):
            raise _invalid("is a parity report without 'passed': true or false")
        case Kind.LATENCY if not measures_of(content):
            raise _invalid(f"is a latency report without any of {', '.join(MEASURES)} as a positive number")
        case Kind.SBOM if content.get("bomFormat") != "CycloneDX" and not isinstance(content.get("spdxVersion"), str):
            raise _invalid("is neither CycloneDX ('bomFormat') nor SPDX ('spdxVersion') in JSON")


def measures_of(content: Mapping[str, Any]) -> dict[str, float]:
    """The measures that a latency report has."""
    found = {name: content.get(name) for name in MEASURES}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    }


def sign_evidence(kind: str, digest: Digest, *, subject: str, version_digest: Digest, signer: Signer) -> bytes:
    """The registry's signature that a document of that digest was given as evidence about a version.

    Args:
        kind: Of the document.
        digest: Of its content.
        subject: The version, for people: ``acme/digits@3``.
        version_digest: Of the version's manifest.
        signer: The tenant's key.
    """
    payload = _payload(kind, digest, subject, version_digest)
    key = PublicKey.from_pem(signer.public_key)
    return encode_envelope(
        Envelope(payload=payload, signature=signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    )


def verify_evidence(evidence: Evidence, *, subject: str, version_digest: Digest, verifier: BundleVerifier) -> None:
    """Checks that a stored document is what was signed, for that version.

    Raises:
        SignatureError: A ``SIGN_*`` code.
    """
    if digest_of(evidence.content) != evidence.digest:
        raise SignatureError(ErrorCode.DIGEST_MISMATCH, "Its content is not what was added.")
    envelope = verifier.verify_envelope(evidence.signature, name=_NAME)
    if envelope.payload != _payload(evidence.kind, evidence.digest, subject, version_digest):
        raise SignatureError(ErrorCode.SUBJECT_MISMATCH, f"It is signed, but not as {evidence.kind} of {subject}.")


def _payload(kind: str, digest: Digest, subject: str, version_digest: Digest) -> bytes:
    return rfc8785.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": subject, "digest": {"sha256": hex_of(version_digest)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"kind": kind, "digest": digest},
        }
    )


def _invalid(what: str) -> InvalidRequest:
    return InvalidRequest(ErrorCode.INVALID_FIELD, f"The evidence {what}.", details={"field": "content"})

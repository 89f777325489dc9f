# SPDX-License-Identifier: Apache-2.0
"""The one place that decides whether a bundle may be used.

:meth:`BundleVerifier.verify` makes every check, in this order, and there is nothing to subclass or to switch off:

1. ``model.sig`` is there (``SIGN_001``), well formed and of the one accepted profile (``SIGN_002``);
2. its key is not revoked (``SIGN_009``), trusted by the tenant (``SIGN_003``) and within its validity (``SIGN_008``);
3. the signature verifies, with the algorithm of the trusted key, and covers the bytes of ``manifest.json`` (``SIGN_002``);
4. only then is the manifest parsed: canonical (``SIGN_010``), safe paths (``SIGN_007``), equal to the signed statement;
5. neither its digest, its parent's nor any file's is revoked (``SIGN_009``); it has not expired (``SIGN_008``);
6. it is what was asked for, of the policy's tenant (``SIGN_011``);
7. only then is the source listed: nothing but plain files (``SIGN_007``), none more (``SIGN_005``), none less (``SIGN_006``);
8. each file is read once, at most one byte beyond its signed size, and has that size and digest (``SIGN_004``).

What it returns are the very bytes that were hashed, so whatever happens to the source afterwards changes nothing. With
``retain=False`` files are hashed in constant memory and dropped; then it is the caller who must see to it that nobody can
write to the source between the check and the use.

It does not prove freshness: an older bundle of the same version number, validly signed and not revoked, is accepted. Key
validity is judged by the verifier's clock (by the policy's time, if that is later), not by ``created_at``, which the signer
chose. Everything compared here is public, so no comparison needs constant time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import final

from artifacts.digest import Digest, digest_bytes
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME, Manifest
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES, Envelope, decode_envelope
from artifacts.signing.contents import BundleSource, check_listing, read_at_most, read_file
from artifacts.signing.policy import Subject, TrustedKey, TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import check_covers, check_statement, invalid_signature
from core.clock import Clock, rfc3339
from core.errors import ErrorCode, SignatureError, Unavailable

__all__ = ["BundleSource", "BundleVerifier", "VerifiedBundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that passed every check."""

    manifest: Manifest
    digest: Digest  # of the manifest: the bundle's identity
    key_id: str  # of the key that signed it
    files: Mapping[str, bytes]  # the bytes that were hashed, by path; empty with retain=False


@final
class BundleVerifier:
    """Verifies bundles of one tenant against its trust policy."""

    def __init__(self, policy: TrustPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._keys = {key.key_id: (key, PublicKey.from_pem(key.public_key)) for key in policy.keys}

    def verify(self, source: BundleSource, *, subject: Subject, retain: bool = True) -> VerifiedBundle:
        """Makes every check of this module on everything ``source`` holds.

        Args:
            source: The untrusted bundle.
            subject: What was asked for.
            retain: Whether to return the files' bytes. False hashes them in constant memory.

        Raises:
            SignatureError: A ``SIGN_*`` code; the message names the file or field.
            Unavailable: ``STORE_001`` if the source cannot be read at all.
        """
        try:
            return self._verify(source, subject, retain=retain)
        except OSError as error:
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE,
                f"The bundle cannot be read: {error.strerror or type(error).__name__}. Check the folder's permissions.",
                log_context={"cause": str(error)},
            ) from error

    def verify_manifest(self, manifest_bytes: bytes, signature_bytes: bytes, *, subject: Subject) -> Manifest:
        """Makes every check but those of the files (steps 1 to 6).

        Raises:
            SignatureError: A ``SIGN_*`` code; the message names the field.
        """
        return self._authenticate(manifest_bytes, signature_bytes, subject)[0]

    def verify_envelope(self, data: bytes, *, name: str = SIGNATURE_NAME) -> Envelope:
        """Makes the checks of a signature alone (steps 1 to 3, but not what it covers): for signed documents beside a bundle.

        Args:
            data: The signature file.
            name: What messages call it.

        Returns:
            The envelope; what its payload says is for the caller to check.

        Raises:
            SignatureError: A ``SIGN_*`` code; the message names the field.
        """
        envelope = decode_envelope(data, name=name)
        self._check_signature(envelope)
        return envelope

    def refuse_revoked(self, digests: Mapping[str, Digest]) -> None:
        """Checks what else something is made of, by what messages call it.

        Raises:
            SignatureError: ``SIGN_009`` if one was revoked.
        """
        for what, found in digests.items():
            if found in self._policy.revoked_digests:
                raise revoked_error(what, found)

    def _verify(self, source: BundleSource, subject: Subject, *, retain: bool) -> VerifiedBundle:
        manifest_bytes = read_at_most(source, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        try:
            signature_bytes = read_at_most(source, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
        except SignatureError as error:
            raise _missing_signature(error) from None
        manifest, key_id = self._authenticate(manifest_bytes, signature_bytes, subject)
        check_listing(source, manifest)
        files = {entry.path: read_file(source, entry, retain=retain) for entry in manifest.files}
        return VerifiedBundle(
            manifest=manifest,
            digest=digest_bytes(manifest_bytes),
            key_id=key_id,
            files=MappingProxyType(files if retain else {}),
        )

    def _authenticate(self, manifest_bytes: bytes, signature_bytes: bytes, subject: Subject) -> tuple[Manifest, str]:
        envelope = self.verify_envelope(signature_bytes)
        check_covers(envelope.payload, manifest_bytes)
        manifest = Manifest.from_bytes(manifest_bytes)
        check_statement(envelope.payload, manifest)
        self._check_not_revoked(manifest, digest_bytes(manifest_bytes))
        if manifest.expires_at is not None and self._now() >= manifest.expires_at:
            raise _outside_validity(f"Manifest of {manifest.ref}", "expired at", manifest.expires_at)
        _check_subject(manifest, subject, self._policy.tenant)
        return manifest, envelope.key_id

    def _check_signature(self, envelope: Envelope) -> None:
        if envelope.key_id in self._policy.revoked_keys:
            raise revoked_error("key", envelope.key_id)
        found = self._keys.get(envelope.key_id)
        if found is None:
            raise SignatureError(
                ErrorCode.SIGNER_UNTRUSTED,
                f"Signed by key {envelope.key_id[:80]!r}, which tenant {self._policy.tenant!r} does not trust. "
                "Add the key to the tenant's trust policy if the signer is known.",
                details={"key_id": envelope.key_id[:80]},
            )
        trusted, key = found
        error = validity_error(trusted, self._now())
        if error is not None:
            raise error
        if envelope.hint != key.hint:
            raise invalid_signature("verificationMaterial.publicKey.hint", envelope.hint, key.hint)
        if not key.verifies(envelope.signature, envelope.message):
            raise invalid_signature(
                "dsseEnvelope.signatures[0].sig", "not made by that key over this payload", "its own"
            )

    def _now(self) -> datetime:
        return self._policy.present(self._clock.now())

    def _check_not_revoked(self, manifest: Manifest, digest: Digest) -> None:
        digests = {"manifest": digest} | {f"file {entry.path!r}": entry.digest for entry in manifest.files}
        if manifest.parent is not None:
            digests["parent"] = manifest.parent
        self.refuse_revoked(digests)


def _check_subject(manifest: Manifest, subject: Subject, policy_tenant: str) -> None:
    wanted = {
        "tenant": policy_tenant,
        "kind": subject.kind,
        "model": subject.model,
        "version": subject.version,
        "variant": subject.variant,
    }
    pairs = [("tenant", subject.tenant, policy_tenant)]
    pairs += [(name, str(getattr(manifest, name)), str(value)) for name, value in wanted.items() if value is not None]
    for field, got, expected in pairs:
        if got != expected:
            raise SignatureError(
                ErrorCode.SUBJECT_MISMATCH,
                f"The bundle is signed, but for another {field}: got {got!r}; expected {expected!r}.",
                details={"field": field, "got": got, "expected": expected},
            )


def _missing_signature(error: SignatureError) -> SignatureError:
    if error.code is not ErrorCode.FILE_MISSING:
        return error
    return SignatureError(
        ErrorCode.SIGNATURE_MISSING,
        f"The bundle carries no {SIGNATURE_NAME}. Only signed bundles are used.",
        details={"path": SIGNATURE_NAME},
    )


def validity_error(key: TrustedKey, now: datetime) -> SignatureError | None:
    """Why a key's signatures do not count at ``now``: ``SIGN_008``. None if they do."""
    if key.not_before is not None and now < key.not_before:
        return _outside_validity(f"Key {key.key_id}", "is not valid before", key.not_before)
    if key.not_after is not None and now >= key.not_after:
        return _outside_validity(f"Key {key.key_id}", "expired at", key.not_after)
    return None


def revoked_error(what: str, name: str) -> SignatureError:
    """The error for something that was revoked: ``SIGN_009``."""
    return SignatureError(
        ErrorCode.REVOKED,
        f"The {what} {name} is revoked. Do not use the bundle.",
        details={"revoked": what, "id": name},
    )


def _outside_validity(what: str, relation: str, moment: datetime) -> SignatureError:
    return SignatureError(
        ErrorCode.SIGNATURE_EXPIRED,
        f"{what} {relation} {rfc3339(moment)}. Sign the bundle again with a valid key.",
        details={"at": rfc3339(moment)},
    )

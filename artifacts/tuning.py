# SPDX-License-Identifier: Apache-2.0
"""``tuning.json``: how one variant runs fastest on one kind of device, measured and signed.

A Sigstore bundle v0.3 with a bare key, as ``model.sig`` is (:mod:`artifacts.signing.bundle`), around an in-toto Statement v1
whose subject is the digest of the variant's manifest and whose predicate is a :class:`Tuning`. The statement is canonical
JSON (RFC 8785): one tuning of one variant has exactly one.

It lies beside a bundle, never inside, and is advice: it decides how fast a model runs, never what runs. So whoever cannot
verify one goes on without it. Its predicate type keeps it apart from the signature of a manifest: neither passes for the
other.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import rfc8785

from artifacts.digest import Digest, digest_bytes, hex_of
from artifacts.signing.bundle import Envelope, decode_envelope, encode_envelope, pae
from artifacts.signing.interface import Signer
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import STATEMENT_TYPE, invalid_signature
from artifacts.signing.verifier import BundleVerifier
from core.errors import ErrorCode, SignatureError

TUNING_NAME: Final = "tuning.json"
PREDICATE_TYPE: Final = "https://furoshiki.dev/tuning/v1"
MAX_TUNING_BYTES: Final = 1024 * 1024
MAX_POINTS: Final = 4096

_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Rate = Annotated[float, msgspec.Meta(gt=0)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are an error, not an extension point."""


class Device(_Strict, frozen=True, kw_only=True):
    """Where something was measured. A tuning is for devices of equal :attr:`fingerprint`."""

    cpu: _Text  # model, as the system names it
    cores: _Count  # this many could be kept busy
    runner: _Text  # such as "onnx-cpu"
    version: _Text  # of the runner's runtime
    features: tuple[_Text, ...] = ()  # instruction sets that matter to runtimes, sorted

    @property
    def fingerprint(self) -> Digest:
        """Names this kind of device: CPU model and cores. Another version of the runtime is still that device."""
        return fingerprint_of(self.cpu, self.cores)


def fingerprint_of(cpu: str, cores: int) -> Digest:
    """The fingerprint of devices with that CPU model and so many usable cores."""
    return digest_bytes(rfc8785.dumps({"cores": cores, "cpu": cpu}))


class Point(_Strict, frozen=True, kw_only=True):
    """One measurement."""

    instances: _Count  # executions at once
    threads: _Count  # inside each
    rows: _Count  # of each execution
    rows_per_s: _Rate
    p50_ms: _Rate  # median of one execution


class Chosen(_Strict, frozen=True, kw_only=True):
    """What to run the variant with."""

    instances: _Count
    threads: _Count
    max_rows: _Count | None  # more rows in one execution gain nothing; None: the model takes no batches


class Tuning(_Strict, frozen=True, kw_only=True):
    """What was measured, and what follows from it."""

    device: Device
    chosen: Chosen
    measurements: Annotated[tuple[Point, ...], msgspec.Meta(min_length=1, max_length=MAX_POINTS)]


class _Subject(_Strict, frozen=True, kw_only=True):
    name: str
    digest: dict[str, str]


class _Statement(_Strict, frozen=True, kw_only=True, rename="camel"):
    type_: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: msgspec.Raw


_STATEMENT: Final = msgspec.json.Decoder(_Statement)
_TUNING: Final = msgspec.json.Decoder(Tuning)


def sign_tuning(tuning: Tuning, *, variant: str, digest: Digest, signer: Signer) -> bytes:
    """The content of ``tuning.json``.

    Args:
        tuning: What was measured.
        variant: What it was measured of, for people: ``"acme/digits@3 onnx-fp32/cpu"``.
        digest: Of that variant's manifest.
        signer: The tenant's key.
    """
    payload = _payload(tuning, variant, digest)
    key = PublicKey.from_pem(signer.public_key)
    return encode_envelope(
        Envelope(payload=payload, signature=signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    )


def verify_tuning(data: bytes, *, digest: Digest, verifier: BundleVerifier) -> Tuning:
    """Makes every check on ``tuning.json``: signature, trust, subject, form, and that its choice is one it measured.

    Args:
        data: The untrusted file.
        digest: Of the manifest of the variant it must be about.
        verifier: Knows whom the tenant trusts.

    Raises:
        SignatureError: ``SIGN_002``, ``SIGN_003``, ``SIGN_008`` or ``SIGN_009`` as for a bundle; ``SIGN_011`` if it is about
            something else.
    """
    if len(data) > MAX_TUNING_BYTES:
        raise invalid_signature(TUNING_NAME, f"{len(data)} bytes", f"at most {MAX_TUNING_BYTES} bytes")
    return _read(verifier.verify_envelope(data, name=TUNING_NAME).payload, digest)


def read_tuning(data: bytes, *, digest: Digest) -> Tuning:
    """Reads ``tuning.json`` without asking who signed it; for whoever made and kept it.

    Raises:
        SignatureError: ``SIGN_002`` if it is malformed, ``SIGN_011`` if it is about something else.
    """
    return _read(decode_envelope(data, name=TUNING_NAME).payload, digest)


def _payload(tuning: Tuning, variant: str, digest: Digest) -> bytes:
    return rfc8785.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": variant, "digest": {"sha256": hex_of(digest)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": msgspec.to_builtins(tuning),
        }
    )


def _read(payload: bytes, digest: Digest) -> Tuning:
    try:
        statement = _STATEMENT.decode(payload)
        for field, got, wanted in (
            ("_type", statement.type_, STATEMENT_TYPE),
            ("predicateType", statement.predicate_type, PREDICATE_TYPE),
            ("subject", len(statement.subject), 1),
        ):
            if got != wanted:
                raise invalid_signature(field, got, wanted)
        tuning = _TUNING.decode(statement.predicate)
    except (ValueError, RecursionError) as error:
        raise invalid_signature(TUNING_NAME, f"malformed ({error})", "a tuning of one variant") from None
    subject = statement.subject[0]
    if subject.digest != {"sha256": hex_of(digest)}:
        raise SignatureError(
            ErrorCode.SUBJECT_MISMATCH,
            f"The tuning is signed, but for {subject.name[:200]!r}; expected one for {digest}.",
            details={"expected": digest},
        )
    if payload != _payload(tuning, subject.name, digest):
        raise invalid_signature(TUNING_NAME, "another encoding of the same content", "canonical JSON (RFC 8785)")
    _check_choice(tuning)
    return tuning


def _check_choice(tuning: Tuning) -> None:
    chosen = tuning.chosen
    if not any(
        (point.instances, point.threads) == (chosen.instances, chosen.threads) and chosen.max_rows in (None, point.rows)
        for point in tuning.measurements
    ):
        raise invalid_signature("predicate.chosen", "not one of its measurements", "a point that was measured")

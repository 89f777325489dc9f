# SPDX-License-Identifier: Apache-2.0
"""The verifier: each way a bundle can be wrong has its own code and names the file or field."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import rfc8785

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES, Envelope, encode_envelope, pae
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import statement_of
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource, MemorySource
from artifacts.testing import CREATED, FILES, Bundle, make_bundle, refused
from core.errors import ErrorCode, Unavailable


class RecordingSource(MemorySource):
    """A memory source that remembers what was opened and how far it was read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.streams: dict[str, BinaryIO] = {}
        self.listed = False

    def listing(self) -> Iterator[str]:
        self.listed = True
        return super().listing()

    def open(self, path: str) -> BinaryIO:
        self.streams[path] = super().open(path)
        return self.streams[path]


def verify_in(bundle: Bundle, source: Any, *, retain: bool = True) -> Any:
    verifier = BundleVerifier(bundle.policy, bundle.clock)
    return verifier.verify(source, subject=bundle.subject, retain=retain)


def resigned(bundle: Bundle, payload: bytes) -> None:
    """Puts a signature of the trusted key over any payload into the bundle."""
    key = PublicKey.from_pem(bundle.signer.public_key)
    envelope = Envelope(payload=payload, signature=bundle.signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    bundle.files[SIGNATURE_NAME] = encode_envelope(envelope)


@pytest.mark.parametrize("signer", [Ed25519Signer.generate(), EcdsaP256Signer.generate()], ids=["ed25519", "p256"])
@pytest.mark.parametrize("kind", ["model", "bento"])
def test_good_bundle_is_verified(signer: Any, kind: str, tmp_path: Path) -> None:
    """A bundle of either algorithm and kind verifies, from memory and from a folder, and gives back its parts."""
    bundle = make_bundle(signer=signer, kind=kind, signature=None)
    for source in (MemorySource(bundle.files), DirectorySource(bundle.write(tmp_path))):
        verified = verify_in(bundle, source)
        assert verified.manifest == bundle.manifest
        assert verified.digest == bundle.manifest.digest
        assert verified.key_id == signer.key_id
        assert dict(verified.files) == dict(FILES)


def test_streamed_bundle_keeps_no_bytes() -> None:
    """Without retain every file is checked and none is returned."""
    bundle = make_bundle()
    assert verify_in(bundle, MemorySource(bundle.files), retain=False).files == {}
    bundle.files["model.onnx"] = FILES["model.onnx"][::-1]
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx"):
        verify_in(bundle, MemorySource(bundle.files), retain=False)


def test_streaming_needs_constant_memory(tmp_path: Path) -> None:
    """Verifying 64 MiB without retain takes less than 8 MiB."""
    bundle = make_bundle({"big.bin": bytes(64 << 20)})
    folder = bundle.write(tmp_path)
    bundle.files.clear()
    tracemalloc.start()
    verify_in(bundle, DirectorySource(folder), retain=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_retaining_makes_no_second_copy(tmp_path: Path) -> None:
    """Retaining a file of 32 MiB takes little more than the file itself."""
    bundle = make_bundle({"big.bin": bytes(32 << 20)})
    folder = bundle.write(tmp_path)
    bundle.files.clear()
    tracemalloc.start()
    verified = verify_in(bundle, DirectorySource(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(verified.files["big.bin"]) == 32 << 20
    assert peak < 40 << 20


def test_changes_after_verification_do_not_matter(tmp_path: Path) -> None:
    """The bytes returned are those that were hashed, whatever happens to the folder afterwards."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path)
    verified = verify_in(bundle, DirectorySource(folder))
    (folder / "model.onnx").write_bytes(b"evil")
    assert verified.files["model.onnx"] == FILES["model.onnx"]


def test_each_file_is_opened_once() -> None:
    """Nothing is opened again after it was checked."""
    bundle = make_bundle()
    opened: list[str] = []

    class Counting(MemorySource):
        def open(self, path: str) -> BinaryIO:
            opened.append(path)
            return super().open(path)

    verify_in(bundle, Counting(bundle.files))
    assert sorted(opened) == sorted(bundle.files)


def test_signature_comes_before_files() -> None:
    """With a bad signature nothing but manifest and signature is opened, and nothing is listed."""
    bundle = make_bundle()
    bundle.policy = replace(bundle.policy, keys=())
    source = RecordingSource(bundle.files)
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        verify_in(bundle, source)
    assert (set(source.streams), source.listed) == ({MANIFEST_NAME, SIGNATURE_NAME}, False)


def test_missing_signature() -> None:
    """SIGN_001: a bundle without model.sig."""
    bundle = make_bundle()
    del bundle.files[SIGNATURE_NAME]
    with refused(ErrorCode.SIGNATURE_MISSING, SIGNATURE_NAME):
        bundle.verify()


def test_missing_manifest() -> None:
    """SIGN_006: a bundle without manifest.json."""
    bundle = make_bundle()
    del bundle.files[MANIFEST_NAME]
    with refused(ErrorCode.FILE_MISSING, MANIFEST_NAME):
        bundle.verify()


def test_forged_signature() -> None:
    """SIGN_002: a signature the named key did not make."""
    bundle = make_bundle()
    bundle.signer, own = Ed25519Signer.generate(), bundle.signer
    forged = bundle.signer.sign(pae(statement_of(bundle.manifest)))
    key = PublicKey.from_pem(own.public_key)
    payload = statement_of(bundle.manifest)
    bundle.files[SIGNATURE_NAME] = encode_envelope(
        Envelope(payload=payload, signature=forged, key_id=key.key_id, hint=key.hint)
    )
    with refused(ErrorCode.SIGNATURE_INVALID, "signatures[0].sig"):
        bundle.verify()


def test_foreign_hint() -> None:
    """SIGN_002: the bundle's two names of its key disagree."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["verificationMaterial"]["publicKey"].update(hint="0" * 64))
    with refused(ErrorCode.SIGNATURE_INVALID, "publicKey.hint"):
        bundle.verify()


def test_wrong_payload_type() -> None:
    """SIGN_002: an envelope around something that is no in-toto statement."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["dsseEnvelope"].update(payloadType="application/json"))
    with refused(ErrorCode.SIGNATURE_INVALID, "payloadType"):
        bundle.verify()


def test_several_signatures() -> None:
    """SIGN_002: more than one signature, even if each were valid."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["dsseEnvelope"].update(signatures=d["dsseEnvelope"]["signatures"] * 2))
    with refused(ErrorCode.SIGNATURE_INVALID, "signatures", "exactly one"):
        bundle.verify()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("predicateType", "https://slsa.dev/provenance/v1"),
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("subject", []),
    ],
)
def test_signed_but_another_statement(field: str, value: object) -> None:
    """SIGN_002: a trusted key signed something that is no statement about this bundle."""
    bundle = make_bundle()
    document = json.loads(statement_of(bundle.manifest))
    resigned(bundle, rfc8785.dumps(document | {field: value}))
    with refused(ErrorCode.SIGNATURE_INVALID, field):
        bundle.verify()


def test_signed_with_fewer_files() -> None:
    """SIGN_002: a trusted key signed a statement that leaves out a file of the manifest."""
    bundle = make_bundle()
    document = json.loads(statement_of(bundle.manifest))
    del document["predicate"]["resources"][0]
    resigned(bundle, rfc8785.dumps(document))
    with refused(ErrorCode.SIGNATURE_INVALID, "predicate.resources"):
        bundle.verify()


def test_other_manifest() -> None:
    """SIGN_002: a manifest that the signature does not cover, however well formed."""
    bundle = make_bundle()
    bundle.files[MANIFEST_NAME] = make_bundle(version=4).files[MANIFEST_NAME]
    with refused(ErrorCode.SIGNATURE_INVALID, MANIFEST_NAME):
        bundle.verify()


def test_untrusted_key() -> None:
    """SIGN_003: a valid signature of a key the tenant does not trust."""
    bundle = make_bundle()
    bundle.policy = make_bundle().policy
    with refused(ErrorCode.SIGNER_UNTRUSTED, bundle.signer.key_id, "'acme'"):
        bundle.verify()


SAME_SIZE = FILES["model.onnx"][::-1]


@pytest.mark.parametrize(
    ("data", "named"),
    [(SAME_SIZE, digest_bytes(SAME_SIZE)), (b"", "got 0 bytes"), (FILES["model.onnx"] + b"!", "more than 128 bytes")],
    ids=["digest", "shorter", "longer"],
)
def test_changed_file(data: bytes, named: str) -> None:
    """SIGN_004: a file of another digest or size, named with what was found and expected."""
    bundle = make_bundle()
    bundle.files["model.onnx"] = data
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx", named):
        bundle.verify()


def test_endless_file_is_read_one_byte_too_far() -> None:
    """A file larger than its signed size is read one byte beyond that size, no more."""
    bundle = make_bundle()
    bundle.files["model.onnx"] += bytes(1 << 20)

    class Plain(RecordingSource):
        def open(self, path: str) -> BinaryIO:
            self.streams[path] = Unclosing(self._files[path])
            return self.streams[path]

    class Unclosing(io.BytesIO):
        def close(self) -> None:
            """Stays open, so that the test can ask how far it was read."""

    source = Plain(bundle.files)
    with refused(ErrorCode.DIGEST_MISMATCH):
        verify_in(bundle, source)
    assert source.streams["model.onnx"].tell() == len(FILES["model.onnx"]) + 1


@pytest.mark.parametrize("path", ["extra.bin", "assets/extra", "model.sig.bak", "../up", "MODEL.ONNX", "\ud800"])
def test_extra_file(path: str) -> None:
    """SIGN_005: any file the manifest does not list."""
    bundle = make_bundle()
    bundle.files[path] = b""
    with refused(ErrorCode.FILE_UNEXPECTED, ascii(path)):
        bundle.verify()


def test_missing_file() -> None:
    """SIGN_006: a listed file that is not there."""
    bundle = make_bundle()
    del bundle.files["assets/labels.txt"]
    with refused(ErrorCode.FILE_MISSING, "assets/labels.txt"):
        bundle.verify()


def test_symlink_instead_of_file(tmp_path: Path) -> None:
    """SIGN_007: a listed file that is a link, even to the right bytes."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path / "bundle")
    (folder / "model.onnx").rename(tmp_path / "real")
    (folder / "model.onnx").symlink_to(tmp_path / "real")
    with refused(ErrorCode.PATH_UNSAFE, "model.onnx"):
        verify_in(bundle, DirectorySource(folder))


@pytest.mark.parametrize("name", [MANIFEST_NAME, SIGNATURE_NAME])
def test_symlink_instead_of_manifest_or_signature(tmp_path: Path, name: str) -> None:
    """SIGN_007: the manifest or the signature is a link."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path / "bundle")
    (folder / name).rename(tmp_path / "real")
    (folder / name).symlink_to(tmp_path / "real")
    with refused(ErrorCode.PATH_UNSAFE, name):
        verify_in(bundle, DirectorySource(folder))


def test_expired_key() -> None:
    """SIGN_008: the key's validity ended, even if the bundle was made before."""
    bundle = make_bundle()
    key = replace(bundle.policy.keys[0], not_after=CREATED + timedelta(days=1))
    bundle.policy = replace(bundle.policy, keys=(key,))
    bundle.verify()
    bundle.clock.advance(86_400)
    with refused(ErrorCode.SIGNATURE_EXPIRED, bundle.signer.key_id, "2026-01-02"):
        bundle.verify()


def test_key_not_yet_valid() -> None:
    """SIGN_008: the key's validity has not begun."""
    bundle = make_bundle()
    key = replace(bundle.policy.keys[0], not_before=CREATED + timedelta(seconds=1))
    bundle.policy = replace(bundle.policy, keys=(key,))
    with refused(ErrorCode.SIGNATURE_EXPIRED, "not valid before"):
        bundle.verify()
    bundle.clock.advance(1)
    bundle.verify()


def test_expired_manifest() -> None:
    """SIGN_008: the bundle's own validity ended."""
    bundle = make_bundle(expires_at=CREATED + timedelta(hours=1))
    bundle.verify()
    bundle.clock.advance(3_600)
    with refused(ErrorCode.SIGNATURE_EXPIRED, "acme/digits@3", "2026-01-01T01:00:00.000Z"):
        bundle.verify()


def test_revoked_key() -> None:
    """SIGN_009: the key is revoked, trusted or not."""
    bundle = make_bundle()
    revoked = frozenset({bundle.signer.key_id})
    for keys in (bundle.policy.keys, ()):
        bundle.policy = TrustPolicy(tenant="acme", keys=keys, revoked_keys=revoked)
        with refused(ErrorCode.REVOKED, bundle.signer.key_id):
            bundle.verify()


PARENT = digest_bytes(b"parent")


@pytest.mark.parametrize("what", ["manifest", "parent", "file 'model.onnx'"])
def test_revoked_digest(what: str) -> None:
    """SIGN_009: the bundle, what it was made from, or one of its files is revoked."""
    bundle = make_bundle(parent=PARENT)
    digests = {
        "manifest": bundle.manifest.digest,
        "parent": PARENT,
        "file 'model.onnx'": digest_bytes(FILES["model.onnx"]),
    }
    bundle.policy = replace(bundle.policy, revoked_digests=frozenset({digests[what]}))
    with refused(ErrorCode.REVOKED, what, digests[what]):
        bundle.verify()


def test_signed_but_malformed_manifest() -> None:
    """SIGN_010: a trusted key signed a manifest that breaks the rules."""
    bundle = make_bundle()
    data = bundle.files[MANIFEST_NAME] + b"\n"
    document = json.loads(statement_of(bundle.manifest))
    for resource in document["predicate"]["resources"]:
        if resource["name"] == MANIFEST_NAME:
            resource["digest"] = digest_bytes(data)[7:]
    bundle.files[MANIFEST_NAME] = data
    resigned(bundle, rfc8785.dumps(document))
    with refused(ErrorCode.MANIFEST_INVALID, "canonical"):
        bundle.verify()


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("tenant", Subject(tenant="globex", model="digits")),
        ("model", Subject(tenant="acme", model="wine")),
        ("version", Subject(tenant="acme", model="digits", version=4)),
        ("variant", Subject(tenant="acme", model="digits", variant="onnx-int8/cpu")),
        ("kind", Subject(tenant="acme", model="digits", kind="bento")),
    ],
)
def test_another_subject(field: str, asked: Subject) -> None:
    """SIGN_011: validly signed, but not what was asked for."""
    bundle = make_bundle()
    verifier = BundleVerifier(bundle.policy, bundle.clock)
    with refused(ErrorCode.SUBJECT_MISMATCH, f"another {field}"):
        verifier.verify(MemorySource(bundle.files), subject=asked)


def test_another_tenants_bundle_under_a_shared_key() -> None:
    """SIGN_011: a key that two tenants trust does not make one's bundle the other's."""
    bundle = make_bundle(tenant="globex")
    bundle.policy = replace(bundle.policy, tenant="acme")
    with refused(ErrorCode.SUBJECT_MISMATCH, "tenant"):
        bundle.verify()


def test_any_version_and_variant() -> None:
    """What the caller leaves open is not compared."""
    bundle = make_bundle()
    asked = Subject(tenant="acme", model="digits")
    assert BundleVerifier(bundle.policy, bundle.clock).verify(MemorySource(bundle.files), subject=asked).key_id


@pytest.mark.parametrize(
    ("name", "size", "code"),
    [
        (MANIFEST_NAME, MAX_MANIFEST_BYTES + 1, ErrorCode.SIGNATURE_INVALID),
        (SIGNATURE_NAME, MAX_SIGNATURE_BYTES + 1, ErrorCode.SIGNATURE_INVALID),
    ],
)
def test_huge_manifest_or_signature(name: str, size: int, code: ErrorCode) -> None:
    """A manifest or signature beyond its limit is refused and never parsed."""
    bundle = make_bundle()
    bundle.files[name] = bytes(size)
    with refused(code, name):
        bundle.verify()


def test_verify_manifest_alone() -> None:
    """Manifest and signature verify without the files, by the same checks."""
    bundle = make_bundle()
    verifier = BundleVerifier(bundle.policy, bundle.clock)
    parts = bundle.files[MANIFEST_NAME], bundle.files[SIGNATURE_NAME]
    assert verifier.verify_manifest(*parts, subject=bundle.subject) == bundle.manifest
    with refused(ErrorCode.SUBJECT_MISMATCH):
        verifier.verify_manifest(*parts, subject=replace(bundle.subject, version=9))
    with refused(ErrorCode.SIGNATURE_INVALID):
        verifier.verify_manifest(parts[0], b"", subject=bundle.subject)


def test_unreadable_source_is_no_verdict() -> None:
    """If the bytes cannot be read at all, the answer is 'try again', not 'forged'."""
    bundle = make_bundle()

    class Failing(MemorySource):
        def open(self, path: str) -> BinaryIO:
            raise PermissionError(13, "Permission denied")

    with pytest.raises(Unavailable, match="Permission denied") as caught:
        verify_in(bundle, Failing(bundle.files))
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE


def test_verifier_cannot_be_weakened_by_inheritance() -> None:
    """Every check sits in one final class; only its three public methods verify."""
    public = [name for name in vars(BundleVerifier) if not name.startswith("_")]
    assert public == ["verify", "verify_manifest", "verify_envelope"]
    assert BundleVerifier.__final__  # type: ignore[attr-defined]

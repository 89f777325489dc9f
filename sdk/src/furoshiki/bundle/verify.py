# SPDX-License-Identifier: Apache-2.0
"""The one public check: a directory against a policy. Every rule is checked here, and the first that fails is named."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from furoshiki.bundle.envelope import Signed, invalid, signed_resources
from furoshiki.bundle.manifest import Manifest, ManifestFile, parse_manifest
from furoshiki.bundle.paths import MANIFEST_NAME, SIGNATURE_NAME
from furoshiki.bundle.policy import TrustPolicy
from furoshiki.bundle.refusals import Reason, refuse

DOCUMENT_LIMIT: Final = 32 * 1024 * 1024  # bytes of a manifest or signature file
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle that passed every check."""

    manifest: Manifest
    digest: str  # of the manifest
    key_id: str  # of the key that signed it


def verify(
    directory: Path | str,
    policy: TrustPolicy,
    *,
    model: str | None = None,
    version: int | None = None,
    kind: Literal["model", "bento"] | None = None,
    now: datetime | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Verified:
    """Verifies a bundle on disk without any network.

    Args:
        directory: The bundle.
        policy: What the tenant trusts.
        model: The model that was asked for; None accepts any of the policy's tenant.
        version: The version that was asked for; None accepts any.
        kind: Whether a model or a Bento was asked for; None accepts both.
        now: Aware time to judge validity at; None is the present.
        on_bytes: Told the bytes of each piece that was hashed.

    Raises:
        SignatureRefused: ``SIGN_001`` to ``SIGN_011``, naming the first rule that was broken.
    """
    root = Path(directory)
    moment = policy.present(now or datetime.now(UTC))
    data = _document(root, MANIFEST_NAME, Reason.FILE_MISSING)
    signed = signed_resources(_document(root, SIGNATURE_NAME, Reason.SIGNATURE_MISSING), policy, now=moment)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if signed.resources.get(MANIFEST_NAME) != digest:
        raise invalid(f"{MANIFEST_NAME} has digest {digest}, which is not the one that was signed")
    manifest = parse_manifest(data)
    _check_manifest(manifest, digest, policy, signed, moment)
    _check_subject(manifest, policy, model, version, kind)
    _check_listing(manifest, _listing(root))
    for file in manifest.files:
        _check_file(root, file, on_bytes)
    return Verified(manifest=manifest, digest=digest, key_id=signed.key_id)


def _check_manifest(manifest: Manifest, digest: str, policy: TrustPolicy, signed: Signed, now: datetime) -> None:
    listed = {file.path: file.digest for file in manifest.files}
    if signed.resources != {**listed, MANIFEST_NAME: digest} or signed.subject != manifest.ref:
        raise invalid("What was signed is not what the manifest lists")
    revoked = ({digest, manifest.parent} | set(listed.values())) & policy.revoked_digests
    if revoked:
        raise refuse(Reason.REVOKED, f"Digest {min(map(str, revoked))} of {manifest.ref} is revoked.")
    if manifest.expires_at is not None and now >= manifest.expires_at:
        raise refuse(Reason.EXPIRED, f"{manifest.ref} expired at {manifest.expires_at.isoformat()}.")


def _check_subject(
    manifest: Manifest, policy: TrustPolicy, model: str | None, version: int | None, kind: str | None
) -> None:
    wanted = {"tenant": policy.tenant, "model": model, "version": version, "kind": kind}
    for field, expected in wanted.items():
        got = getattr(manifest, field)
        if expected is not None and got != expected:
            raise refuse(
                Reason.SUBJECT_MISMATCH, f"The bundle is signed, but its {field} is {got!r}; expected {expected!r}."
            )


def _check_listing(manifest: Manifest, found: set[str]) -> None:
    expected = {file.path for file in manifest.files} | {MANIFEST_NAME, SIGNATURE_NAME}
    if found - expected:
        raise refuse(Reason.FILE_UNEXPECTED, f"The manifest does not list {min(found - expected)!r}.")
    if expected - found:
        raise refuse(Reason.FILE_MISSING, f"The manifest lists {min(expected - found)!r}, which is not there.")


def _check_file(root: Path, file: ManifestFile, on_bytes: Callable[[int], None] | None) -> None:
    hasher, seen = hashlib.sha256(), 0
    for chunk in _read(root, file.path, Reason.FILE_MISSING):
        hasher.update(chunk)
        seen += len(chunk)
        if on_bytes is not None:
            on_bytes(len(chunk))
        if seen > file.size:
            break
    got = "sha256:" + hasher.hexdigest()
    if seen != file.size or got != file.digest:
        raise refuse(
            Reason.DIGEST_MISMATCH,
            f"File {file.path!r} is not the signed one: got {seen} bytes with {got}; "
            f"expected {file.size} bytes with {file.digest}.",
        )


def _listing(root: Path) -> set[str]:
    """Every file below ``root``; refuses whatever is neither a plain file nor a directory."""
    found: set[str] = set()
    waiting = [("", root)]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise refuse(Reason.FILE_MISSING, f"{str(folder)!r} cannot be read: {error.strerror}.") from None
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((path + "/", Path(entry.path)))
            elif entry.is_file(follow_symlinks=False):
                found.add(path)
            else:
                raise refuse(Reason.PATH_UNSAFE, f"{path!r} is a symlink or a special file.")
    return found


def _document(root: Path, name: str, missing: Reason) -> bytes:
    data = b""
    for chunk in _read(root, name, missing):
        data += chunk
        if len(data) > DOCUMENT_LIMIT:
            raise refuse(Reason.MANIFEST_INVALID, f"{name} is longer than {DOCUMENT_LIMIT} bytes.")
    return data


def _read(root: Path, path: str, missing: Reason) -> Iterator[bytes]:
    """Reads a plain file, never through a symlink in its last place and never waiting for a pipe."""
    try:
        descriptor = os.open(root / path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise refuse(Reason.PATH_UNSAFE, f"{path!r} is not a plain file.")
            while chunk := file.read(_CHUNK):
                yield chunk
    except FileNotFoundError:
        raise refuse(missing, f"{str(root)!r} holds no {path!r}.") from None
    except OSError as error:
        raise refuse(Reason.PATH_UNSAFE, f"{path!r} cannot be read as a plain file: {error.strerror}.") from None

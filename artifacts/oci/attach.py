# SPDX-License-Identifier: Apache-2.0
"""What belongs to an image without being part of it: signatures, bills of materials, provenance, as OCI referrers.

Follows the distribution specification v1.1, "Listing referrers" and "Referrers tag schema". A registry without the referrers
API, such as docker-registry 2.8, gets the list as an index under the tag ``sha256-<hex>``.

A list of referrers is a registry's claim, and so is what a manifest says about itself: :func:`fetch_attached` checks digests
and that the manifest really names the subject; whether to believe it is for signatures to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Final
from urllib.parse import quote

from artifacts.digest import Digest, digest_bytes, hex_of, parse_digest
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import (
    MAX_ENTRIES,
    Document,
    ImageIndex,
    ImageManifest,
    encode_document,
    parse_document,
)
from artifacts.oci.downloads import pulling
from artifacts.oci.manifests import pages
from artifacts.oci.media import EMPTY, EMPTY_BYTES, IMAGE_INDEX
from artifacts.oci.merging import merge
from artifacts.oci.refusals import invalid_document, too_many
from artifacts.oci.registry import Repository
from core.errors import ErrorCode, NotFound, SignatureError

MAX_LISTED: Final = MAX_ENTRIES  # of what a registry lists as attached to one manifest, on all pages together
_NO_API: Final = (400, 404, 405, 501)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One blob of an attachment."""

    media_type: str
    data: bytes
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def descriptor(self) -> Descriptor:
        """Of the blob, with the annotations."""
        size, digest = len(self.data), digest_bytes(self.data)
        return Descriptor(media_type=self.media_type, digest=digest, size=size, annotations=self.annotations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Something to attach."""

    artifact_type: str
    pieces: tuple[Piece, ...]
    annotations: dict[str, str] = field(default_factory=dict, hash=False)


def fallback_tag(subject: Digest) -> str:
    """The tag that lists the referrers of ``subject`` where the registry does not: ``sha256-<hex>``."""
    return f"sha256-{hex_of(parse_digest(subject))}"


def attachment_manifest(attachment: Attachment, subject: Descriptor) -> ImageManifest:
    """The manifest that attaches something to ``subject``; the same for the same content."""
    return ImageManifest(
        artifact_type=attachment.artifact_type,
        config=Descriptor(media_type=EMPTY, digest=digest_bytes(EMPTY_BYTES), size=len(EMPTY_BYTES)),
        layers=tuple(piece.descriptor for piece in attachment.pieces),
        subject=subject.content,
        annotations=attachment.annotations,
    )


async def attach(
    repository: Repository, subject: Descriptor, attachments: Sequence[Attachment]
) -> tuple[Descriptor, ...]:
    """Attaches things to a manifest of a repository. May be done again: what is attached already is not attached twice.

    Args:
        repository: That holds ``subject``.
        subject: The manifest they belong to.
        attachments: Are listed together, in one step where the registry has no referrers API.

    Returns:
        The descriptor of each, in order.

    Raises:
        Conflict: ``OCI_005`` if other writers of the fallback tag do not let us.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    listed = True
    described: list[Descriptor] = []
    for attachment in attachments:
        await push_pieces(repository, (Piece(media_type=EMPTY, data=EMPTY_BYTES), *attachment.pieces))
        manifest = attachment_manifest(attachment, subject)
        stored = await repository.put_manifest(encode_document(manifest), manifest.media_type)
        listed = listed and stored.referrer
        described.append(
            replace(stored.descriptor, artifact_type=attachment.artifact_type, annotations=attachment.annotations)
        )
    if not listed:
        await list_attached(repository, subject.digest, described)
    return tuple(described)


async def list_attached(repository: Repository, subject: Digest, described: Sequence[Descriptor]) -> None:
    """Lists manifests as attached to ``subject``, for a registry that does not do so by itself.

    Args:
        repository: That holds them.
        subject: The manifest they are attached to.
        described: Their descriptors, with artifact type and annotations.

    Raises:
        Conflict: ``OCI_005`` if other writers of the fallback tag do not let us.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    await merge(repository, fallback_tag(subject), lambda present: _listing(present, described))


async def referrers(
    repository: Repository, subject: Digest, *, artifact_type: str | None = None
) -> tuple[Descriptor, ...]:
    """What a registry lists as attached to a manifest.

    Args:
        repository: Where.
        subject: The manifest.
        artifact_type: Only those of this type; None: all.

    Raises:
        SignatureError: ``SIGN_010`` if the list is malformed.
        InvalidRequest: ``VALID_003`` if it is longer than ``MAX_LISTED``.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    by_api = await _by_api(repository, parse_digest(subject), artifact_type)
    found = await _by_tag(repository, subject) if by_api is None else by_api
    return tuple(entry for entry in found if artifact_type is None or entry.artifact_type == artifact_type)


async def fetch_attached(repository: Repository, entry: Descriptor, subject: Digest) -> ImageManifest:
    """The manifest of an entry of :func:`referrers`.

    Raises:
        SignatureError: ``SIGN_011`` if it is attached to something else, ``SIGN_004`` or ``SIGN_010`` if it is not what its
            digest says or no image manifest.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    document = (await repository.fetch(entry.digest)).document
    if not isinstance(document, ImageManifest):
        raise invalid_document("mediaType", document.media_type, "an image manifest")
    if document.subject is None or document.subject.digest != subject:
        raise SignatureError(
            ErrorCode.SUBJECT_MISMATCH,
            f"{entry.digest} is listed as attached to {subject}, but is attached to something else.",
            details={"digest": entry.digest, "expected": subject},
        )
    return document


async def push_pieces(repository: Repository, pieces: Sequence[Piece]) -> None:
    """Brings small blobs into a repository."""
    for piece in pieces:
        await repository.push_blob(piece.descriptor, lambda data=piece.data: BytesIO(data))  # type: ignore[misc]


async def _by_api(repository: Repository, subject: Digest, artifact_type: str | None) -> Sequence[Descriptor] | None:
    """None if the registry has no referrers API."""
    query = "" if artifact_type is None else f"?artifactType={quote(artifact_type, safe='')}"
    url = f"/v2/{repository.name}/referrers/{subject}{query}"
    found: list[Descriptor] = []
    what, scope = f"list what is attached to {subject}", pulling(repository.name)
    async for answer in pages(repository.connection, url, what, scope, 200, *_NO_API):
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        if answer.status != 200 or media_type != IMAGE_INDEX:
            return None
        found.extend(_entries(parse_document(answer.body, media_type)))
        if len(found) > MAX_LISTED:
            raise too_many(f"The list of what is attached to {subject}", len(found), MAX_LISTED)
    return found


async def _by_tag(repository: Repository, subject: Digest) -> tuple[Descriptor, ...]:
    try:
        return _entries((await repository.fetch(fallback_tag(subject))).document)
    except NotFound:
        return ()


def _listing(present: Document | None, added: Sequence[Descriptor]) -> ImageIndex | None:
    """The index with what was added; None if it has it all."""
    entries = () if present is None else _entries(present)
    known = {entry.digest for entry in entries}
    missing = [entry for entry in added if entry.digest not in known]
    return ImageIndex(manifests=(*entries, *missing)) if missing else None


def _entries(document: Document) -> tuple[Descriptor, ...]:
    if not isinstance(document, ImageIndex):
        raise invalid_document("mediaType", document.media_type, "an image index, as a list of referrers")
    return document.manifests

# SPDX-License-Identifier: Apache-2.0
"""Manifests and tags of one repository of a registry.

Follows the distribution specification v1.1. A manifest is known by the digest of the bytes that came, never by what a header
says; a header that says something else is an error. A tag may be moved by anybody at any time: whoever acts on one resolves
it once and goes on by digest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from artifacts.digest import PREFIX, Digest, digest_bytes, parse_digest
from artifacts.oci.answers import Answer, error_code, refusal
from artifacts.oci.connection import Ask, Connection
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import MAX_DOCUMENT_BYTES, Document, parse_document
from artifacts.oci.downloads import pulling
from artifacts.oci.media import DOCUMENTS
from artifacts.oci.patience import persist
from artifacts.oci.reference import check_tag
from artifacts.oci.refusals import invalid_document, too_large, too_many, wrong_digest
from artifacts.oci.sending import pushing
from core.errors import Conflict, ErrorCode, InvalidRequest, Unavailable

MAX_PAGES: Final = 1_000
MAX_TAGS: Final = 1_000_000  # of one repository
_ACCEPT: Final = ", ".join(sorted(DOCUMENTS))
_NEXT: Final = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A manifest or an index as a registry holds it."""

    descriptor: Descriptor
    data: bytes  # exactly those that the digest is of
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A manifest or an index that a registry took."""

    descriptor: Descriptor
    referrer: bool  # whether the registry lists it as a referrer of its subject by itself


class _TagsJson(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


async def fetch(connection: Connection, repository: str, reference: str) -> Fetched:
    """A manifest by digest or by tag.

    Raises:
        InvalidRequest: ``VALID_002`` if ``reference`` can be neither, ``VALID_003`` if the document is too large.
        NotFound: ``OCI_003`` if there is none.
        SignatureError: ``SIGN_004`` if other bytes come than the digest says, ``SIGN_010`` if they are no manifest.
        Unavailable: ``OCI_001`` if patience ended.
        ImageRegistryError: ``OCI_002`` or ``OCI_004``.
    """
    url, scope = _path(repository, reference), pulling(repository)
    ask = Ask(method="GET", url=url, what=f"pull {repository} {reference}", scope=scope, headers={"accept": _ACCEPT})
    answer = await connection.ask(ask, 200)
    found, said = digest_bytes(answer.body), answer.headers.get("docker-content-digest", "")
    for digest in (reference, said):
        if digest.startswith(PREFIX) and digest != found:
            raise wrong_digest(digest, found, where="the registry")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    document = parse_document(answer.body, media_type)
    descriptor = Descriptor(
        media_type=media_type, digest=found, size=len(answer.body), artifact_type=document.artifact_type
    )
    return Fetched(descriptor=descriptor, data=answer.body, document=document)


async def put(connection: Connection, repository: str, data: bytes, media_type: str, *, tag: str | None) -> Stored:
    """Writes a manifest under its digest, and then under ``tag``.

    Raises:
        InvalidRequest: ``VALID_002`` if ``tag`` cannot be one, ``VALID_003`` if the document is too large.
        ImageRegistryError: ``OCI_004`` if the registry refuses it, such as for a blob it lacks; ``OCI_002``.
        SignatureError: ``SIGN_004`` if the registry says that it has another digest.
        Unavailable: ``OCI_001`` if patience ended.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise too_large("The manifest", len(data), MAX_DOCUMENT_BYTES)
    digest, names = digest_bytes(data), [] if tag is None else [check_tag(tag)]
    answer = await _put(connection, repository, digest, data, media_type)
    for name in names:
        await _put(connection, repository, name, data, media_type)
    descriptor = Descriptor(media_type=media_type, digest=digest, size=len(data))
    return Stored(descriptor=descriptor, referrer="oci-subject" in answer.headers)


async def move_tag(
    connection: Connection, repository: str, tag: str, manifest: Fetched, *, expected: Digest | None
) -> None:
    """Moves a tag from one manifest to another, if it is where it is expected to be; not at all if it is there already.

    Registries cannot compare and set: the tag is looked at right before it is moved and right after. Somebody who moves it in
    between is noticed if he comes last, and not if we do.

    Args:
        connection: To the registry.
        repository: Of the registry, which holds the manifest already.
        tag: Which.
        manifest: To where.
        expected: From where; None: the tag must be new.

    Raises:
        Conflict: ``OCI_005`` if it is elsewhere.
    """
    found = await digest_of_tag(connection, repository, tag)
    if found == manifest.descriptor.digest:
        return
    if found != expected:
        raise _moved(repository, tag, expected, found)
    await _put(connection, repository, check_tag(tag), manifest.data, manifest.descriptor.media_type)
    found = await digest_of_tag(connection, repository, tag)
    if found != manifest.descriptor.digest:
        raise _moved(repository, tag, manifest.descriptor.digest, found)


async def digest_of_tag(connection: Connection, repository: str, tag: str) -> Digest | None:
    """Where a tag is now; None if it is not there. Raises as :func:`fetch`, but for ``OCI_003``."""
    ask = Ask(
        method="GET",
        url=_path(repository, tag),
        what=f"pull {repository} {tag}",
        scope=pulling(repository),
        headers={"accept": _ACCEPT},
    )
    answer = await connection.ask(ask, 200, 404)
    return None if answer.status == 404 else digest_bytes(answer.body)


async def list_tags(connection: Connection, repository: str) -> list[str]:
    """Every tag, sorted. Raises as :func:`fetch`, and ``VALID_003`` beyond ``MAX_TAGS``."""
    found: set[str] = set()
    first = f"/v2/{repository}/tags/list?n=1000"
    async for answer in pages(connection, first, f"list tags of {repository}", pulling(repository), 200):
        try:
            found.update(map(check_tag, msgspec.json.decode(answer.body, type=_TagsJson).tags or ()))
        except (msgspec.DecodeError, InvalidRequest) as error:
            raise invalid_document("tags", str(error), "a list of tags") from None
        if len(found) > MAX_TAGS:
            raise too_many(f"The list of tags of {repository}", len(found), MAX_TAGS)
    return sorted(found)


async def pages(connection: Connection, url: str, what: str, scope: str, *expected: int) -> AsyncIterator[Answer]:
    """Every page of a listing, by its ``Link`` headers.

    Raises:
        InvalidRequest: ``VALID_003`` if there are more than ``MAX_PAGES``.
    """
    for _ in range(MAX_PAGES):
        answer = await connection.ask(Ask(method="GET", url=url, what=what, scope=scope), *expected)
        yield answer
        following = _NEXT.search(answer.headers.get("link", ""))
        if following is None:
            return
        url = connection.absolute(following[1], what=what)
    raise too_large(f"The listing of pages for: {what}", MAX_PAGES + 1, MAX_PAGES)


async def delete(connection: Connection, repository: str, reference: str) -> None:
    """Removes a manifest by digest, or a tag where the registry can. Does nothing if it is not there.

    Raises:
        ImageRegistryError: ``OCI_004`` if the registry does not delete, ``OCI_002``.
        Unavailable: ``OCI_001`` if patience ended.
    """
    await remove(connection, _path(repository, reference), f"delete {repository} {reference}", repository)


async def remove(connection: Connection, url: str, what: str, repository: str) -> None:
    """Removes whatever is at ``url``. Raises as :func:`delete`."""
    scope = f"repository:{repository}:delete"
    await connection.ask(Ask(method="DELETE", url=url, what=what, scope=scope), 200, 202, 204, 404)


async def _put(connection: Connection, repository: str, reference: str, data: bytes, media_type: str) -> Answer:
    ask = Ask(
        method="PUT",
        url=_path(repository, reference),
        what=f"push {repository} {reference}",
        scope=pushing(repository),
        headers={"content-type": media_type},
        body=data,
    )
    answer = await persist(connection.patience, lambda: _put_once(connection, ask))
    said = answer.headers.get("docker-content-digest", "")
    if said.startswith(PREFIX) and said != digest_bytes(data):
        raise wrong_digest(digest_bytes(data), said[:100], where="the registry")
    return answer


async def _put_once(connection: Connection, ask: Ask) -> Answer:
    """A registry that counts another digest than ours was disturbed: docker-registry 2.8 by another writer of the tag."""
    answer = await connection.ask_once(ask, 201, 400)
    if answer.status == 400:
        failure = refusal(answer, host=connection.host, what=ask.what)
        if error_code(answer) != "DIGEST_INVALID":
            raise failure
        raise Unavailable(ErrorCode.OCI_UNREACHABLE, failure.message, details=failure.details)
    return answer


def _path(repository: str, reference: str) -> str:
    checked = parse_digest(reference) if ":" in reference else check_tag(reference)
    return f"/v2/{repository}/manifests/{quote(checked, safe=':')}"


def _moved(repository: str, tag: str, expected: Digest | None, found: Digest | None) -> Conflict:
    return Conflict(
        ErrorCode.OCI_TAG_MOVED,
        f"Tag {tag} of {repository} names {found or 'nothing'}; expected {expected or 'nothing'}. Look, then try again.",
        details={"tag": tag, "found": found, "expected": expected},
    )

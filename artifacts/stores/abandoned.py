# SPDX-License-Identifier: Apache-2.0
"""Ends S3 multipart uploads that nobody will complete: those of killed or failed puts.

Until it is ended, an unfinished upload takes room that no listing of objects shows. obstore begins, fills and completes
uploads but cannot list them; so this asks S3 itself (ListMultipartUploads, AbortMultipartUpload), signed with Signature
Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. A lifecycle rule of the bucket does
the same and may be used beside it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx

from core.clock import Clock
from core.errors import ErrorCode, Unavailable

T = TypeVar("T")

_EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()
_MOST_PAGES: Final = 1000  # of one sweep, 1000 uploads each


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAccess:
    """Where a bucket is, and the key for it."""

    url: str  # of the bucket itself, path style or virtual-hosted, without a trailing slash
    prefix: str  # of our keys; "" or ending in "/"
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    key: str
    id: str
    begun: datetime


class S3MultipartSweeper:
    """A :class:`~artifacts.stores.publishing.MultipartSweeper` of one bucket's prefix."""

    def __init__(self, access: BucketAccess, clock: Clock, *, timeout_seconds: float) -> None:
        self._access = access
        self._clock = clock
        self._timeout = timeout_seconds

    async def sweep(self, before: datetime) -> int:
        """Aborts the uploads begun before a moment; returns how many.

        Raises:
            Unavailable: ``STORE_001`` if S3 does not answer as expected.
        """

        async def abort(http: httpx.AsyncClient) -> int:
            due = [upload for upload in await self._uploads(http) if upload.begun < before]
            for upload in due:
                await self._ask(http, "DELETE", upload.key, {"uploadId": upload.id})
            return len(due)

        return await self._talk(abort)

    async def pending(self) -> int:
        """How many uploads are unfinished.

        Raises:
            Unavailable: As :meth:`sweep`.
        """
        return len(await self._talk(self._uploads))

    async def _talk(self, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        try:
            async with httpx.AsyncClient(timeout=self._timeout, trust_env=False) as http:
                return await work(http)
        except (httpx.HTTPError, ElementTree.ParseError) as error:
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE,
                "The blob store cannot be reached. Try again later.",
                log_context={"cause": str(error)},
            ) from error

    async def _uploads(self, http: httpx.AsyncClient) -> list[_Upload]:
        found: list[_Upload] = []
        query = {"uploads": "", "prefix": self._access.prefix}
        for _ in range(_MOST_PAGES):
            root = ElementTree.fromstring((await self._ask(http, "GET", "", query)).content)  # noqa: S314
            found += _parsed(root)
            if _text(root, "IsTruncated") != "true":
                break
            query["key-marker"] = _text(root, "NextKeyMarker")
            query["upload-id-marker"] = _text(root, "NextUploadIdMarker")
        return found

    async def _ask(self, http: httpx.AsyncClient, method: str, key: str, query: Mapping[str, str]) -> httpx.Response:
        url = self._access.url + "/" + quote(key, safe="/~") if key else self._access.url
        line = "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))
        headers = signed_headers(self._access, method, url, line, self._clock.now())
        response = await http.request(method, f"{url}?{line}", headers=headers)
        if method == "DELETE" and response.status_code == httpx.codes.NOT_FOUND:
            return response  # completed or aborted meanwhile
        return response.raise_for_status()


def signed_headers(access: BucketAccess, method: str, url: str, query: str, now: datetime) -> dict[str, str]:
    """The headers of a request without a body, Signature Version 4.

    Args:
        access: Key and region.
        method: The method.
        url: Without the query; its path is quoted.
        query: Quoted and sorted by name.
        now: The time of the request.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY_HASH, "x-amz-date": moment}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join((method, parts.path or "/", query, lines, names, _EMPTY_HASH))
    scope = f"{moment[:8]}/{access.region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{access.secret_key}".encode()
    for step in (*scope.split("/"), text):
        key = hmac.digest(key, step.encode(), "sha256")
    credential = f"AWS4-HMAC-SHA256 Credential={access.access_key}/{scope}"
    return {**headers, "authorization": f"{credential}, SignedHeaders={names}, Signature={key.hex()}"}


def _parsed(root: ElementTree.Element) -> Iterator[_Upload]:
    for upload in root.iterfind("{*}Upload"):
        begun = datetime.fromisoformat(_text(upload, "Initiated"))
        yield _Upload(key=_text(upload, "Key"), id=_text(upload, "UploadId"), begun=begun)


def _text(parent: ElementTree.Element, name: str) -> str:
    return parent.findtext(f"{{*}}{name}") or ""

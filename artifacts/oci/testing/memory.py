# SPDX-License-Identifier: Apache-2.0
"""A registry in memory that speaks the distribution specification v1.1, and fails as it is told to.

It is the transport of a client: ``Registry("registry.test", transport=MemoryRegistry())``. Unlike docker-registry 2.8 it
keeps what arrived of a chunk that was cut, lists referrers, and deletes tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx

from artifacts.digest import digest_bytes
from artifacts.oci.media import IMAGE_INDEX
from artifacts.oci.testing.faults import Body, Faults, answered, failed

_NAME: Final = r"/v2/(?P<name>[a-z0-9/._-]+)"
_ROUTES: Final = (
    ("blob", re.compile(rf"{_NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})")),
    ("open", re.compile(rf"{_NAME}/blobs/uploads/")),
    ("upload", re.compile(rf"{_NAME}/blobs/uploads/(?P<id>[0-9a-f]{{32}})")),
    ("manifest", re.compile(rf"{_NAME}/manifests/(?P<reference>[^/]+)")),
    ("tags", re.compile(rf"{_NAME}/tags/list")),
    ("referrers", re.compile(rf"{_NAME}/referrers/(?P<digest>sha256:[0-9a-f]{{64}})")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request, read."""

    request: httpx.Request
    body: bytes
    parts: Mapping[str, str]  # of the path

    @property
    def name(self) -> str:
        return self.parts["name"]


class MemoryRegistry(httpx.AsyncBaseTransport):
    """One registry, answering at any host."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[httpx.Request] = []
        self.blobs: dict[tuple[str, str], bytes] = {}  # by repository and digest
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}  # media type and bytes, by repository and digest
        self.tags: dict[tuple[str, str], str] = {}  # digests, by repository and tag
        self._uploads: dict[str, bytearray] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.faults.statuses:
            status, headers = self.faults.statuses.pop(0)
            return answered(status, headers=headers)
        body = await self._received(request)
        answer = self._routed(request, body)
        if self.faults.lose_answers and request.method == self.faults.lose_answers[0]:
            self.faults.lose_answers.pop(0)
            raise httpx.ReadError("the answer was lost", request=request)
        return answer

    def put_manifest(self, name: str, tag: str, data: bytes, media_type: str) -> str:
        """What another client does: writes a manifest and moves a tag to it. Returns its digest."""
        digest = digest_bytes(data)
        self.manifests[name, digest] = (media_type, data)
        self.tags[name, tag] = digest
        return digest

    def counted(self, method: str, part: str = "") -> int:
        """How many requests with that method and that part of the path came."""
        return sum(request.method == method and part in request.url.path for request in self.requests)

    async def _received(self, request: httpx.Request) -> bytes:
        upload = self._uploads.get(request.url.path.rpartition("/")[2])
        body = bytearray()
        limit = (
            self.faults.cut_sent.pop(0) if self.faults.cut_sent and upload is not None and _has_body(request) else None
        )
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for piece in request.stream:
            body += piece
            if limit is not None and upload is not None and len(body) >= limit:
                upload += body[:limit]
                if self.faults.forget_uploads:
                    self._uploads.clear()
                raise httpx.WriteError("cut off", request=request)
        return bytes(body)

    def _routed(self, request: httpx.Request, body: bytes) -> httpx.Response:
        if request.url.path == "/v2/":
            return answered(200)
        for kind, pattern in _ROUTES:
            found = pattern.fullmatch(request.url.path)
            if found is not None:
                handler: Callable[[_Call], httpx.Response] = getattr(self, f"_{kind}")
                return handler(_Call(request=request, body=body, parts=found.groupdict()))
        return answered(404)

    def _blob(self, call: _Call) -> httpx.Response:
        request, name, digest = call.request, call.name, call.parts["digest"]
        data = self.blobs.get((name, digest))
        if data is None:
            return failed(404, "BLOB_UNKNOWN")
        if request.method == "DELETE":
            del self.blobs[name, digest]
            return answered(202)
        if self.faults.blobs_at and request.method == "GET" and request.url.host not in self.faults.blobs_at:
            return answered(307, headers={"location": f"{self.faults.blobs_at}{request.url.path}"})
        return self._content(request, self._read(data))

    def _content(self, request: httpx.Request, data: bytes) -> httpx.Response:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(asked[1]) if asked is not None and self.faults.ranges else 0
        if start >= len(data) > 0:
            return answered(416)
        headers = {"content-length": str(len(data) - start)}
        if start:
            headers["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if request.method == "HEAD":
            return answered(200, headers=headers)
        limit = self.faults.cut_received.pop(0) if self.faults.cut_received else None
        return httpx.Response(206 if start else 200, headers=headers, stream=Body(data[start:], limit))

    def _open(self, call: _Call) -> httpx.Response:
        query, name = call.request.url.params, call.name
        source = self.blobs.get((query.get("from", ""), query.get("mount", "")))
        if source is not None:
            self.blobs[name, query["mount"]] = source
            return answered(201, headers={"location": f"/v2/{name}/blobs/{query['mount']}"})
        upload = uuid4().hex
        self._uploads[upload] = bytearray()
        return answered(202, headers=self._session(name, upload))

    def _upload(self, call: _Call) -> httpx.Response:
        request, name, upload = call.request, call.name, call.parts["id"]
        held = self._uploads.get(upload)
        if held is None:
            return failed(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "PATCH":
            if not self.faults.chunks:
                return failed(405, "UNSUPPORTED")
            if not request.headers["content-range"].startswith(f"{len(held)}-"):
                return answered(416, headers=self._session(name, upload))
            held += call.body
            return answered(202, headers=self._session(name, upload))
        if request.method == "PUT":
            return self._close(request, name, upload, bytes(held) + call.body)
        if request.method == "DELETE":
            del self._uploads[upload]
        return answered(204, headers=self._session(name, upload))

    def _close(self, request: httpx.Request, name: str, upload: str, data: bytes) -> httpx.Response:
        digest = request.url.params["digest"]
        del self._uploads[upload]
        if digest_bytes(data) != digest:
            return failed(400, "DIGEST_INVALID")
        self.blobs[name, digest] = data
        return answered(201, headers={"docker-content-digest": digest})

    def _session(self, name: str, upload: str) -> dict[str, str]:
        last = max(0, len(self._uploads.get(upload, b"")) - 1)
        return {"location": f"/v2/{name}/blobs/uploads/{upload}", "range": f"0-{last}"}

    def _manifest(self, call: _Call) -> httpx.Response:
        request, name, reference = call.request, call.name, call.parts["reference"]
        if request.method == "PUT":
            return self._put_manifest(request, call.body, name, reference)
        digest = self.tags.get((name, reference), reference)
        found = self.manifests.get((name, digest))
        if found is None:
            return failed(404, "MANIFEST_UNKNOWN")
        if request.method == "DELETE":
            self.tags = {
                key: value for key, value in self.tags.items() if key != (name, reference) and value != reference
            }
            if digest == reference:
                del self.manifests[name, digest]
            return answered(202)
        media_type, data = found
        return answered(200, self._read(data), {"content-type": media_type, "docker-content-digest": digest})

    def _put_manifest(self, request: httpx.Request, body: bytes, name: str, reference: str) -> httpx.Response:
        digest, document = digest_bytes(body), json.loads(body)
        named = [document["config"], *document["layers"]] if "layers" in document else []
        if any((name, each["digest"]) not in self.blobs for each in named):
            return failed(400, "MANIFEST_BLOB_UNKNOWN")
        if not reference.startswith("sha256:"):
            if self.faults.before_tag:
                self.faults.before_tag.pop(0)()
            self.tags[name, reference] = digest
            if self.faults.after_tag:
                self.faults.after_tag.pop(0)()
        self.manifests[name, digest] = (request.headers["content-type"], body)
        subject = document.get("subject") if self.faults.referrers else None
        return answered(
            201, headers={"docker-content-digest": digest} | ({"oci-subject": subject["digest"]} if subject else {})
        )

    def _tags(self, call: _Call) -> httpx.Response:
        name, last = call.name, call.request.url.params.get("last", "")
        names = sorted(tag for repository, tag in self.tags if repository == name and tag > last)
        page, more = names[: self.faults.pages], names[self.faults.pages :]
        headers = {"link": f'</v2/{name}/tags/list?last={page[-1]}>; rel="next"'} if more else {}
        return answered(200, json.dumps({"name": name, "tags": page}).encode(), headers)

    def _referrers(self, call: _Call) -> httpx.Response:
        if not self.faults.referrers:
            return answered(404)
        entries = []
        for (repository, found), (media_type, data) in self.manifests.items():
            document: dict[str, Any] = json.loads(data)
            if repository == call.name and document.get("subject", {}).get("digest") == call.parts["digest"]:
                described = {"mediaType": media_type, "digest": found, "size": len(data)}
                entries.append({**described, "artifactType": document.get("artifactType", "")})
        listing = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries}).encode()
        return answered(200, listing, {"content-type": IMAGE_INDEX})

    def _read(self, data: bytes) -> bytes:
        return bytes([data[0] ^ 1]) + data[1:] if self.faults.damage and data else data


def _has_body(request: httpx.Request) -> bool:
    return int(request.headers.get("content-length", "0")) > 0

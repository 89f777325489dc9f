# SPDX-License-Identifier: Apache-2.0
"""The fake's images: two layers, a configuration and one thing attached, all with true digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page

BASE: Final = b"the base layer" * 4096
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


class FakeImages:
    """Images of builds. ``damage`` names digests whose blobs arrive with another byte.

    Args:
        start: Starts a job of a kind.
        jobs: All jobs by id.
        builds: All builds by id.
    """

    def __init__(
        self,
        start: Callable[[str], dict[str, Any]],
        jobs: Mapping[str, dict[str, Any]],
        builds: Mapping[str, dict[str, Any]],
    ) -> None:
        self.damage: set[str] = set()
        self._start = start
        self._jobs = jobs
        self._builds = builds
        self._images: dict[str, dict[str, Any]] = {}

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.method, call.segments[2:]:
            case "POST", ("images",):
                return json_answer(self._make(call.fields()), 202)
            case "GET", ("images",):
                return page([self._shown(image) for image in reversed(self._images.values())], call)
            case "GET", ("images", image_id, *rest):
                return self._part(call, self._found(image_id), rest)
        return None

    def find(self, image_id: str) -> dict[str, Any] | None:
        """The image of that id, as shown; None if there is none."""
        return self._shown(self._images[image_id]) if image_id in self._images else None

    def _part(self, call: Call, image: dict[str, Any], rest: list[str]) -> Answer | None:
        if not rest:
            return json_answer(self._shown(image))
        start = int(call.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if self._jobs[image["job_id"]]["state"] != "succeeded":
            raise Problem(409, "STATE_001", f"Image {image['id']} is not finished.")
        layout = _Layout(image)
        match rest:
            case ["index"]:
                return Answer(body=layout.index)
            case ["blobs", digest] if digest in layout.blobs:
                data = layout.blobs[digest]
                sent = bytes([data[0] ^ 1]) + data[1:] if digest in self.damage else data
                return Answer(status=206 if start else 200, body=sent[start:])
        raise Problem(404, "STORE_002", "The image has no such blob.")

    def _found(self, image_id: str) -> dict[str, Any]:
        if image_id not in self._images:
            raise Problem(404, "IMAGE_008", f"There is no image {image_id!r}.")
        return self._images[image_id]

    def _make(self, fields: dict[str, Any]) -> dict[str, Any]:
        build = self._builds.get(fields["build_id"])
        if build is None:
            raise Problem(404, "BUILD_001", f"There is no build {fields['build_id']!r}.")
        if self._jobs[build["job_id"]]["state"] != "succeeded":
            raise Problem(409, "STATE_001", f"Build {build['id']} is not finished.")
        image_id = f"image-{len(self._images) + 1}"
        named = {name: build[name] for name in ("tenant", "model", "version", "variant", "created_at")}
        asked = {"device": fields.get("device", "cpu"), "builder": fields.get("builder", "auto")}
        job_id = self._start("image")["id"]
        self._images[image_id] = {"id": image_id, "build_id": build["id"], "job_id": job_id, **named, **asked}
        return self._shown(self._images[image_id])

    def _shown(self, image: dict[str, Any]) -> dict[str, Any]:
        state = self._jobs[image["job_id"]]["state"]
        error = {"code": "JOB_002", "message": "As told."} if state == "failed" else None
        made: dict[str, Any] = {}
        if state == "succeeded":
            layout = _Layout(image)
            made = {"builder": "layers", "builder_version": "1", "reason": "buildah is not installed"}
            made |= {"platform": "linux/amd64", "digest": layout.digest, "layers": layout.layers}
            made |= {"compressed_bytes": sum(layer["size"] for layer in layout.layers)}
        return {**image, "state": state, "error": error, **made}


class _Layout:
    """The OCI layout of an image: the base is that of every image, the model that of its version."""

    def __init__(self, image: Mapping[str, Any]) -> None:
        self.blobs: dict[str, bytes] = {}
        config = self._put(b'{"architecture":"amd64","os":"linux"}', "application/vnd.oci.image.config.v1+json")
        layers = [self._put(BASE, _LAYER), self._put(f"model {image['version']}".encode(), _LAYER)]
        manifest = self._document({"config": config, "layers": layers})
        attached = self._document({"config": config, "layers": [], "subject": manifest})
        self.index = msgspec.json.encode({"schemaVersion": 2, "manifests": [manifest, attached]})
        self.digest = manifest["digest"]
        names = ("base", "model")
        self.layers = [
            {"name": name, "digest": layer["digest"], "size": layer["size"], "cached": False}
            for name, layer in zip(names, layers, strict=True)
        ]

    def _document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return self._put(msgspec.json.encode({"schemaVersion": 2, "mediaType": _MANIFEST, **fields}), _MANIFEST)

    def _put(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

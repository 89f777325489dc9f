# SPDX-License-Identifier: Apache-2.0
"""Models: the names under which versions are registered, and the push that registers one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from furoshiki.api import API, get_request, json_request
from furoshiki.errors import Conflict
from furoshiki.progress import OnProgress, Progress
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.sources import SourceFile, collect, hash_files, infer_format
from furoshiki.steps import FileBody, Items, Request, Steps, path
from furoshiki.versions import Version

_STORE_TIMEOUT: Final = 300.0  # seconds of silence tolerated while the server stores or inspects what it was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name and what is registered under it."""

    tenant: str
    name: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    latest_version: int | None = None  # None: nothing registered yet
    production_version: int | None = None  # None: none in production
    created_at: datetime
    updated_at: datetime


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a model's history."""

    version: int
    from_stage: str = msgspec.field(name="from")
    to_stage: str = msgspec.field(name="to")
    reason: str
    actor: str  # name of the API key
    actor_key: str  # id of the API key
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFile:
    """One file of an upload."""

    path: str
    size: int  # bytes
    digest: str
    received: bool = False  # whether the registry holds its bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A version in the making; invisible until it is completed."""

    id: str
    model: str
    state: str  # "open", "completed" or "aborted"
    expires_at: datetime | None = None
    files: tuple[UploadFile, ...] = ()


class Models(Resource[D]):
    """``client.models``."""

    @operation
    def create(self, name: str, *, description: str | None = None, tags: Sequence[str] | None = None) -> Steps[Model]:
        """Creates a model without versions.

        Raises:
            Conflict: ``MODEL_004`` if the name is taken.
        """
        return (yield from self._api.fetch(json_request("POST", "/models", _fields(name, description, tags)), Model))

    @operation
    def get(self, name: str) -> Steps[Model]:
        """One model by name.

        Raises:
            NotFound: ``MODEL_001`` if the tenant has none of that name.
        """
        return (yield from self._api.fetch(get_request(path("models", name)), Model))

    @listing
    def list(self) -> Items[Model]:
        """Every model of the tenant."""
        yield from self._api.pages("/models", Model)

    @listing
    def history(self, name: str) -> Items[StageChange]:
        """Who moved which version where, when and why; newest first."""
        yield from self._api.pages(path("models", name, "history"), StageChange)

    @operation
    def push(
        self,
        name: str,
        source: Path | str,
        *,
        format: str | None = None,  # noqa: A002 - the registry's word
        description: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
    ) -> Steps[Version]:
        """Registers a file or directory as the next version of a model, which is created if missing.

        Files whose bytes the registry already holds are not sent again: after a cut, push again and it goes on with the files
        that are missing. Nothing is visible before the last byte is checked.

        Args:
            name: The model.
            source: A model file, or a directory whose files together are the model.
            format: ``onnx``, ``tflite`` …; None tells it from the file names.
            description: For a model that is created now.
            tags: For a model that is created now.
            metadata: Recorded in the signed manifest.
            progress: Told the bytes hashed, then the bytes uploaded.

        Raises:
            InvalidRequest: ``MODEL_003`` if the runtime refuses the file, ``CLIENT_004`` if a file cannot be read.
        """
        found = collect(Path(source))
        format = format or infer_format([name for _, name, _ in found])  # noqa: A001 - the registry's word
        files = yield from hash_files(found, progress)
        yield from self._ensure(name, description, tags)
        fields = {
            "format": format,
            "files": [{"path": file.path, "size": file.size, "digest": file.digest} for file in files],
            "metadata": dict(metadata or {}),
        }
        # an upload opened twice leaves one behind that nobody completes and that expires
        opening = json_request("POST", path("models", name, "uploads"), fields, repeatable=True)
        upload = yield from self._api.fetch(opening, Upload)
        yield from self._send_files(upload, files, progress)
        complete = Request(
            method="POST", path=API + path("uploads", upload.id, "complete"), read_timeout=_STORE_TIMEOUT
        )
        return (yield from self._api.fetch(complete, Version))

    def _ensure(self, name: str, description: str | None, tags: Sequence[str] | None) -> Steps[None]:
        # twice is as good as once here: a second creation is a conflict, which is what is wanted
        request = json_request("POST", "/models", _fields(name, description, tags), repeatable=True)
        try:
            yield from self._api.send(request)
        except Conflict as conflict:
            if conflict.code != "MODEL_004":
                raise

    def _send_files(self, upload: Upload, files: Sequence[SourceFile], progress: OnProgress | None) -> Steps[None]:
        total = sum(file.size for file in files)
        received = {file.path for file in upload.files if file.received}
        done = 0
        for file in files:
            known = file.path in received
            if not known:
                yield from self._api.send(_put(upload.id, file, done, total, progress))
            done += file.size
            if known and progress is not None:
                progress(Progress(phase="upload", path=file.path, done=done, total=total))


def _fields(name: str, description: str | None, tags: Sequence[str] | None) -> dict[str, object]:
    return {"name": name, "description": description, "tags": None if tags is None else list(tags)}


def _put(upload_id: str, file: SourceFile, before: int, total: int, progress: OnProgress | None) -> Request:
    def tell(sent: int) -> None:
        if progress is not None:
            progress(Progress(phase="upload", path=file.path, done=before + sent, total=total))

    return Request(
        method="PUT",
        path=API + path("uploads", upload_id, "files", *file.path.split("/")),
        headers={"Content-Type": "application/octet-stream"},
        body=FileBody(path=file.location, size=file.size, on_sent=tell),
        read_timeout=_STORE_TIMEOUT,
    )

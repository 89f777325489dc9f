# SPDX-License-Identifier: Apache-2.0
"""Models: the names under which versions are registered, and the push that registers one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from furoshiki.api import API, get_request, json_request
from furoshiki.cards import Card
from furoshiki.deletions import Deletion, delete_request, restore_request
from furoshiki.errors import Conflict
from furoshiki.progress import OnProgress
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.sending import STORE_TIMEOUT, Upload, send_files
from furoshiki.sources import collect, hash_files, infer_format
from furoshiki.stages import StageChange
from furoshiki.steps import Items, Request, Steps, path
from furoshiki.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name and what is registered under it."""

    tenant: str
    name: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    latest_version: int | None = None  # None: there is none
    production_version: int | None = None  # None: none in production
    created_at: datetime
    updated_at: datetime
    # Of models that were asked for by name: to change one only if nobody else did meanwhile.
    etag: str | None = field(default=None, compare=False)
    deletion: Deletion | None = None  # None: it is not deleted


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
        return (yield from self._api.tagged(get_request(path("models", name)), Model))

    @listing
    def list(
        self,
        query: str | None = None,
        *,
        tags: Sequence[str] = (),
        stage: str | None = None,
        format: str | None = None,  # noqa: A002 - the registry's word
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: str = "name",
        deleted: bool = False,
    ) -> Items[Model]:
        """The models of the tenant that fit; every condition must hold.

        Args:
            query: Words; each begins a word of the model's name, description or tags, or of its newest version's metadata.
            tags: ``key:value``, or ``key`` with any value.
            stage: Of some version.
            format: Of some version.
            created_after: An aware time.
            created_before: An aware time.
            order: ``name``, ``created_at`` or ``updated_at``; with a minus the largest comes first.
            deleted: Those that were deleted and can be restored, in place of the others.

        Raises:
            InvalidRequest: ``VALID_002`` if a condition cannot be one.
        """
        conditions = {
            "q": query,
            "stage": None if stage is None else stage.upper(),
            "format": format,
            "created_after": None if created_after is None else created_after.isoformat(),
            "created_before": None if created_before is None else created_before.isoformat(),
            "order": None if order == "name" else order,
            "tag": tuple(tags) or None,
            "deleted": "true" if deleted else None,
        }
        yield from self._api.pages(
            "/models", Model, {key: value for key, value in conditions.items() if value is not None}
        )

    @operation
    def describe(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        etag: str | None = None,
    ) -> Steps[Model]:
        """Changes a model's description or tags (all of them); what is None stays as it is.

        Raises:
            Conflict: ``STATE_003`` if ``etag`` is given and somebody else changed it meanwhile.
        """
        fields = {"description": description, "tags": None if tags is None else [*tags]}
        return (yield from self._api.tagged(json_request("PATCH", path("models", name), fields, etag=etag), Model))

    @operation
    def delete(self, name: str, *, reason: str, etag: str | None = None) -> Steps[Model]:
        """Deletes a model with all its versions; it can be restored until ``deletion.purge_at`` of what is returned.

        Args:
            name: The model.
            reason: Why, for the history.
            etag: Delete it only if this is still its ETag.

        Raises:
            NotFound: ``MODEL_001`` if there is none of that name.
            Conflict: ``STATE_004`` if a version of it is used (``details`` list by what and how to clear it),
                ``STATE_003`` if somebody else changed it meanwhile.
        """
        return (yield from self._api.tagged(delete_request(path("models", name), reason=reason, etag=etag), Model))

    @operation
    def restore(self, name: str, *, reason: str, etag: str | None = None) -> Steps[Model]:
        """Brings a deleted model back; versions that were deleted before it stay deleted.

        Raises:
            NotFound: ``MODEL_001`` if there is no deleted one of that name, or it was purged.
            Conflict: ``STATE_003`` if ``etag`` is given and is not that of the deleted model.
        """
        return (yield from self._api.tagged(restore_request(path("models", name), reason=reason, etag=etag), Model))

    @operation
    def card(self, name: str, version: int | None = None) -> Steps[Card]:
        """The card of a model, or the one that counts for a version: its own, else the model's."""
        return (yield from self._api.tagged(get_request(_card_path(name, version)), Card))

    @operation
    def put_card(
        self,
        name: str,
        version: int | None = None,
        *,
        fields: Mapping[str, Any],
        body: str = "",
        etag: str | None = None,
    ) -> Steps[Card]:
        """Replaces the card of a model or of one version.

        Args:
            name: The model.
            version: Its version; None: the card of the model itself.
            fields: ``license``, ``intended_use``, ``training_data``, ``metrics`` and others that the API documents.
            body: Markdown.
            etag: Replace it only if this is still its ETag.

        Raises:
            Conflict: ``STATE_003`` if somebody else changed it meanwhile.
            InvalidRequest: ``VALID_002`` if a field is unknown or malformed.
        """
        content = {"fields": dict(fields), "body": body}
        return (yield from self._api.tagged(json_request("PUT", _card_path(name, version), content, etag=etag), Card))

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
        beside: Sequence[Path | str] = (),
        progress: OnProgress | None = None,
    ) -> Steps[Version]:
        """Registers a file or directory as the next version of a model, which is created if missing.

        Files are sent over several connections, large ones in parts. What the registry already holds is not sent again: after
        a cut, push again and it goes on with what is missing. Nothing is visible before the last byte is checked.

        Args:
            name: The model.
            source: A model file, or a directory whose files together are the model.
            format: ``onnx``, ``tflite`` …; None tells it from the file names.
            description: For a model that is created now.
            tags: For a model that is created now.
            metadata: Recorded in the signed manifest.
            beside: More files, each under its own name, such as the ``signature.json`` of a TorchScript file.
            progress: Told the bytes hashed, then the bytes uploaded.

        Raises:
            InvalidRequest: ``MODEL_003`` if the runtime refuses the file, ``CLIENT_004`` if a file cannot be read.
        """
        found = collect(Path(source), [Path(each) for each in beside])
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
        yield from send_files(self._api, upload, files, progress)
        complete = Request(method="POST", path=API + path("uploads", upload.id, "complete"), read_timeout=STORE_TIMEOUT)
        return (yield from self._api.fetch(complete, Version))

    def _ensure(self, name: str, description: str | None, tags: Sequence[str] | None) -> Steps[None]:
        # twice is as good as once here: a second creation is a conflict, which is what is wanted
        request = json_request("POST", "/models", _fields(name, description, tags), repeatable=True)
        try:
            yield from self._api.send(request)
        except Conflict as conflict:
            if conflict.code != "MODEL_004":
                raise


def _card_path(name: str, version: int | None) -> str:
    return path("models", name, "card") if version is None else path("models", name, "versions", version, "card")


def _fields(name: str, description: str | None, tags: Sequence[str] | None) -> dict[str, object]:
    return {"name": name, "description": description, "tags": None if tags is None else list(tags)}

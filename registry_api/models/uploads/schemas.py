# SPDX-License-Identifier: Apache-2.0
"""Uploads as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifacts.formats import detect
from artifacts.manifest import FileEntry
from artifacts.paths import check_distinct
from registry_api.http.fields import Digest, Incoming, Label, Outgoing, Size, Text, Timestamp
from registry_api.models.uploads.values import Arrived, NewUpload, Progress, UploadState

FormatName: TypeAlias = Literal[
    "onnx", "tflite", "saved_model", "torchscript", "torch_export", "keras", "jax_export", "factory"
]


class FileIn(Incoming):
    """One file to be sent."""

    path: str = Field(min_length=1, max_length=1024, description="Relative POSIX path.", examples=["model.onnx"])
    size: Size
    digest: Digest


class UploadIn(Incoming):
    """A declared set of files of one format. Exactly one is the model's main file; the others accompany it."""

    format: FormatName | None = Field(default=None, description="Left out: told from the names of the files.")
    files: Annotated[list[FileIn], Field(min_length=1)]
    metadata: Annotated[dict[Label, Text], Field(max_length=64)] = {}  # noqa: RUF012 - pydantic copies it

    def wanted(self, model: str) -> NewUpload:
        """The request as a value.

        Raises:
            SignatureError: ``SIGN_007`` if a path cannot be part of a bundle, or two are the same file.
            ModelError: ``MODEL_003`` if the format is left out and cannot be told.
        """
        files = tuple(FileEntry(path=file.path, size=file.size, digest=file.digest) for file in self.files)
        check_distinct(file.path for file in files)
        form = self.format or detect(file.path for file in files).name
        return NewUpload(model=model, format=form, files=files, metadata=self.metadata)


class UploadFileOut(Outgoing):
    """One declared file."""

    path: str
    size: int = Field(description="Bytes.")
    digest: str
    received: bool = Field(description="Whether its bytes are in the store; if so it need not be sent.")
    parts: list[int] = Field(
        description="Numbers, from 0, of the parts that arrived; they need not be sent again. Empty when received."
    )

    @classmethod
    def of(cls, file: Arrived) -> UploadFileOut:
        """Shows a file."""
        entry = file.entry
        return cls(path=entry.path, size=entry.size, digest=entry.digest, received=file.whole, parts=list(file.parts))


class UploadOut(Outgoing):
    """An upload and how far it is."""

    id: str
    model: str
    state: UploadState
    format: str
    version: int | None = Field(description="The version it became; null until it is completed.")
    created_at: Timestamp
    expires_at: Timestamp
    part_bytes: int = Field(description="Size of a part, for files that are sent in parts.")
    files: list[UploadFileOut]

    @classmethod
    def of(cls, progress: Progress) -> UploadOut:
        """Shows an upload."""
        upload = progress.upload
        return cls(
            id=upload.id,
            model=upload.model,
            state=upload.state,
            format=upload.format,
            version=upload.version,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            part_bytes=progress.part_bytes,
            files=[UploadFileOut.of(file) for file in progress.files],
        )

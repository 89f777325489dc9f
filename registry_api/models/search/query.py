# SPDX-License-Identifier: Apache-2.0
"""The query parameters of the list of models."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Query
from pydantic import BeforeValidator, Field

from registry_api.http.fields import Moment, Tag
from registry_api.models.search.terms import asked
from registry_api.models.search.values import ModelFilter, ModelOrder
from registry_api.models.values import Stage

Format: TypeAlias = Annotated[str, Query(pattern=r"^[a-z0-9_-]+$", max_length=32, examples=["onnx"])]

Deleted: TypeAlias = Annotated[
    bool,
    BeforeValidator(
        lambda value: {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    ),
    Field(strict=True),
    Query(description="Those that were deleted and can be restored, in place of the others."),
]


def model_filter(
    *,
    q: Annotated[
        str | None,
        Query(
            max_length=200,
            description="Words, at most 8: each begins a word of the model's name, description or tags, or of the newest "
            "version's description, tags or metadata.",
            examples=["digits"],
        ),
    ] = None,
    tag: Annotated[
        tuple[Tag, ...],
        Query(max_length=8, description="`key:value`, or `key` with any value; several: all of them.", examples=[[]]),
    ] = (),
    stage: Annotated[Stage | None, Query(description="Of some version.")] = None,
    format: Annotated[Format | None, Query(description="Of some version.")] = None,  # noqa: A002 - the API's word
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    deleted: Deleted = False,
    order: Annotated[ModelOrder, Query(description="With a minus the largest comes first.")] = ModelOrder.NAME,
) -> ModelFilter:
    """The dependency behind :data:`Filter`."""
    return ModelFilter(
        words=None if q is None else asked(q),
        tags=tuple(dict.fromkeys(tag)),
        stage=stage,
        format=format,
        created_after=created_after,
        created_before=created_before,
        deleted=deleted,
        order=order,
    )


Filter: TypeAlias = Annotated[ModelFilter, Depends(model_filter)]

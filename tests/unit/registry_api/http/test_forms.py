# SPDX-License-Identifier: Apache-2.0
"""Problems of a body that may have one of several forms."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from registry_api.http.forms import of_nearest_form


class ByKey(BaseModel):
    """A form with a key."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(pattern="^[0-9a-f]{4}$")
    reason: str


class ByDigest(BaseModel):
    """A form with a digest."""

    model_config = ConfigDict(extra="forbid")
    digest: str = Field(pattern="^sha256:")
    reason: str = Field(min_length=2)


def told(body: object) -> list[str]:
    """Where the problems of a body are, as a caller is told."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[Any](ByKey | ByDigest).validate_python(body)
    problems = [{**problem, "loc": ("body", *problem["loc"])} for problem in caught.value.errors()]
    return [".".join(map(str, problem["loc"])) for problem in of_nearest_form(problems)]


def test_only_the_form_that_was_meant_is_told_of() -> None:
    """By the fields that were sent, whatever is wrong with their values."""
    assert told({"digest": "md5:1", "reason": "lost"}) == ["body.digest"]
    assert told({"key": "xyz", "reason": "lost"}) == ["body.key"]
    assert told({"digest": "md5:1", "reason": "x"}) == ["body.digest", "body.reason"]


def test_forms_that_are_as_near_are_both_told_of() -> None:
    """Under their names."""
    assert told({"reason": "lost"}) == ["body.ByKey.key", "body.ByDigest.digest"]


def test_other_problems_are_as_they_were() -> None:
    """Those of bodies with one form, of queries and headers."""
    problems = [{"type": "missing", "loc": ("body", "name")}, {"type": "missing", "loc": ("query", "limit")}]
    assert of_nearest_form(problems) == problems

# SPDX-License-Identifier: Apache-2.0
"""Field types that all schemas share."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from registry_api.http.fields import MAX_BYTES, Size, VersionNumber


def test_a_whole_number_may_be_written_with_a_point() -> None:
    """As JSON Schema has it."""
    assert TypeAdapter(Size).validate_json(b"3.0") == 3
    assert TypeAdapter(VersionNumber).validate_json(b"7e2") == 700


@pytest.mark.parametrize("text", [b"3.5", b"'3'", b'"3"', b"true", b"-1", b"1e300", b"NaN", b"%d" % (MAX_BYTES + 1)])
def test_nothing_else_is_a_size(text: bytes) -> None:
    """Fractions, text, truth values and what is out of range are refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_json(text)

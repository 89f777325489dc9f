# SPDX-License-Identifier: Apache-2.0
"""What Content-Range may say about a declared file."""

from __future__ import annotations

import pytest

from artifacts.manifest import FileEntry
from artifacts.stores.spans import Span
from artifacts.testing import refused
from core.errors import ErrorCode
from registry_api.models.uploads.ranges import JOIN, part_count, part_span, span_of

ENTRY = FileEntry(path="model.onnx", size=25, digest="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/25", Span(start=0, end=10)),
        ("bytes 10-19/25", Span(start=10, end=20)),
        ("bytes 20-24/25", Span(start=20, end=25)),
        ("bytes */25", JOIN),
    ],
)
def test_parts_lie_on_a_grid(header: str, expected: Span) -> None:
    """Parts begin at multiples of the part size and have it, but for the last."""
    assert span_of(header, ENTRY, part_bytes=10) == expected


@pytest.mark.parametrize(
    "header",
    ["bytes 0-8/25", "bytes 1-10/25", "bytes 0-24/25", "bytes 30-39/25", "bytes 25-24/25", "bytes 0-9/26", "bytes */9"],
)
def test_what_is_no_part_is_refused(header: str) -> None:
    """VALID_002 for a range off the grid or of another file."""
    with refused(ErrorCode.INVALID_FIELD):
        span_of(header, ENTRY, part_bytes=10)


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes 0-9", "items 0-9/25", "bytes 0-9/*", "bytes ٠-٩/25", "bytes 0-9/" + "9" * 40]
)
def test_what_is_no_range_is_refused(header: str) -> None:
    """VALID_001 for a header that cannot be parsed."""
    with refused(ErrorCode.MALFORMED):
        span_of(header, ENTRY, part_bytes=10)


def test_the_parts_make_the_file() -> None:
    """Part by part, without gap or overlap, from the first byte to the last."""
    spans = [part_span(number, ENTRY, part_bytes=10) for number in range(part_count(ENTRY, part_bytes=10))]
    assert [byte for span in spans for byte in range(span.start, span.end)] == list(range(ENTRY.size))

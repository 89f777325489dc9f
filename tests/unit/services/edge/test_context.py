# SPDX-License-Identifier: Apache-2.0
"""Request ids: which of a caller's are kept, and that the others are unique."""

from __future__ import annotations

import pytest

from services.edge.context import request_id


@pytest.mark.parametrize("header", [b"a", b"A-1_b.c:d", b"x" * 128])
def test_a_legal_id_is_kept(header: bytes) -> None:
    """Letters, digits and four marks, up to 128."""
    assert request_id(header) == header.decode()


@pytest.mark.parametrize(
    "header", [None, b"", b"x" * 129, b"a b", b'a"b', b"a\\b", b"a\nb", b"a\n", b"{}", b"\xff", "é".encode(), b"a\0"]
)
def test_any_other_is_replaced(header: bytes | None) -> None:
    """What could break a line, a quote or a header is replaced by 128 random bits."""
    made = request_id(header)
    assert len(made) == 32
    assert int(made, 16) >= 0


def test_made_ids_differ() -> None:
    """Ids are unique."""
    assert len({request_id(None) for _ in range(10_000)}) == 10_000

# SPDX-License-Identifier: Apache-2.0
"""The law of layers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.oci.layout import Layout
from registry_api.images.builders.layer import Entry, write_layer

_PATHS = st.from_regex(r"[a-zé.]{1,8}(/[a-z]{1,130}){0,2}", fullmatch=True).filter(
    lambda path: not set(path.split("/")) & {".", ".."}
)


@given(files=st.dictionaries(_PATHS, st.binary(max_size=50), min_size=1, max_size=8), data=st.data())
def test_the_same_entries_give_the_same_bytes_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    """The same entries give the same bytes, in any order."""
    entries = [Entry(path=path, content=content) for path, content in files.items()]
    layout = Layout.create(tmp_path_factory.mktemp("layout"))
    shuffled = data.draw(st.permutations(entries))
    assert write_layer(layout, "x", entries) == write_layer(layout, "x", shuffled)

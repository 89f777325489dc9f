# SPDX-License-Identifier: Apache-2.0
"""Laws of layouts: what is put in is there; names are unique; a stranger's index never makes anything but a coded error."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.entries import name_of, with_entry, without
from artifacts.oci.layout import Layout
from artifacts.oci.media import LAYER_TAR, REF_NAME
from core.errors import FuroshikiError
from tests.property.artifacts.oci.strategies import json_bytes, several

additions = st.lists(st.tuples(st.integers(0, 3), st.none() | st.sampled_from(["a", "b", "c"])), max_size=12)


@given(st.lists(st.binary(max_size=50), max_size=6))
@settings(max_examples=50)
def test_a_blob_is_the_same_however_it_is_cut_into_pieces(pieces: list[bytes]) -> None:
    """Its descriptor is that of all its bytes, and they come back."""
    with tempfile.TemporaryDirectory() as folder:
        layout, data = Layout.create(Path(folder) / "layout"), b"".join(pieces)
        written = layout.put_blob(pieces, media_type=LAYER_TAR)
        assert (written.digest, written.size) == (digest_bytes(data), len(data))
        assert layout.put_bytes(data, media_type=LAYER_TAR) == written
        assert layout.read_blob(written) == data


@given(additions)
def test_names_are_unique_and_nothing_vanishes(steps: list[tuple[int, str | None]]) -> None:
    """After any additions: a name stands once, at what it was last given to; every manifest that was added has an entry."""
    entries: tuple[Descriptor, ...] = ()
    last: dict[str, str] = {}
    for number, name in steps:
        added = Descriptor(media_type="a/b", digest=digest_bytes(bytes([number])), size=1).annotated(**{REF_NAME: name})
        entries = with_entry(entries, added)
        assert with_entry(entries, added) == entries or name is not None
        if name is not None:
            last[name] = added.digest
    names = [name_of(entry) for entry in entries if name_of(entry) is not None]
    assert len(names) == len(set(names))
    assert {name_of(entry): entry.digest for entry in entries if name_of(entry) is not None} == last
    assert {entry.digest for entry in entries} == {digest_bytes(bytes([number])) for number, _ in steps}
    unnamed = [entry.digest for entry in entries if name_of(entry) is None]
    assert len(unnamed) == len(set(unnamed))


@given(several, st.integers(0, 3))
def test_what_was_removed_is_gone(entries: tuple[Descriptor, ...], number: int) -> None:
    """And nothing else is."""
    digest = entries[number].digest if number < len(entries) else digest_bytes(b"x")
    assert without(entries, digest) == tuple(entry for entry in entries if entry.digest != digest)


@given(
    st.sampled_from(["index.json", "oci-layout"]),
    st.binary(max_size=100) | json_bytes,
)
@settings(max_examples=40)
def test_a_strangers_layout_is_opened_or_refused_with_a_code(name: str, data: bytes) -> None:
    """Whatever its files hold."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.create(Path(folder) / "layout")
        (layout.root / name).write_bytes(data)
        try:
            Layout.open(layout.root)
        except FuroshikiError:
            return

# SPDX-License-Identifier: Apache-2.0
"""Law: ``parse_document(encode_document(document), document.media_type) == document``; the rest is refused with a code."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from artifacts.oci.challenges import parse_challenges
from artifacts.oci.descriptor import Descriptor, DescriptorJson, descriptor_from_json, descriptor_to_json
from artifacts.oci.documents import Document, encode_document, parse_document
from artifacts.oci.media import DOCUMENTS, IMAGE_INDEX, IMAGE_MANIFEST
from artifacts.oci.reference import Reference, parse_reference
from core.errors import FuroshikiError, InvalidRequest
from tests.property.artifacts.oci.strategies import descriptors, digests, indexes, json_values, manifests

PARTS = ['Bearer a="b', "Basic", 'x=y, a="\\', "Bearer a=b,c=d"]
FIELDS = ("schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType")
DESCRIBED = ("mediaType", "digest", "size", "annotations", "platform", "urls", "data")


@given(manifests | indexes)
def test_what_is_written_is_read(document: Document) -> None:
    """And written again it has the same bytes, so the same digest."""
    data = encode_document(document)
    found = parse_document(data, document.media_type)
    assert found == document
    assert encode_document(found) == data


@given(descriptors)
def test_descriptors_are_written_and_read(descriptor: Descriptor) -> None:
    """``descriptor_from_json(descriptor_to_json(descriptor)) == descriptor``."""
    written = msgspec.convert(descriptor_to_json(descriptor), DescriptorJson)
    assert descriptor_from_json(written) == descriptor


@given(
    st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(sorted(DOCUMENTS)),
)
def test_whatever_is_read_is_refused_with_a_code(data: bytes, media_type: str) -> None:
    """No other error gets out."""
    try:
        parse_document(data, media_type)
    except FuroshikiError:
        return


@given(
    st.dictionaries(
        st.sampled_from(FIELDS),
        json_values
        | st.just(2)
        | st.dictionaries(st.sampled_from(DESCRIBED), json_values | digests)
        | st.lists(st.dictionaries(st.sampled_from(DESCRIBED), json_values | digests), max_size=2),
    ),
    st.sampled_from([IMAGE_MANIFEST, IMAGE_INDEX]),
)
def test_almost_documents_are_refused_with_a_code(fields: dict[str, object], media_type: str) -> None:
    """What is read all the same can be written and read again."""
    try:
        found = parse_document(json.dumps({"schemaVersion": 2, **fields}).encode(), media_type)
    except FuroshikiError:
        return
    assert parse_document(encode_document(found), media_type) == found


@given(
    st.text(max_size=60)
    | st.from_regex(r"[a-z0-9.:/_-]{1,30}(:[a-z0-9.]{1,5})?(@sha256:[0-9a-f]{64})?", fullmatch=True)
)
def test_references_are_written_and_read(text: str) -> None:
    """``parse_reference(str(reference)) == reference``; anything else is refused with a code."""
    try:
        found = parse_reference(text)
    except InvalidRequest:
        return
    assert isinstance(found, Reference)
    assert str(found) == text
    assert parse_reference(str(found)) == found


@given(st.lists(st.text(max_size=100) | st.sampled_from(PARTS), max_size=3))
def test_challenges_never_fail(headers: list[str]) -> None:
    """Whatever a registry sends."""
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()

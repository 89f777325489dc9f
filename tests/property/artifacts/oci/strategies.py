# SPDX-License-Identifier: Apache-2.0
"""Descriptors and documents of every shape."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.documents import ImageIndex, ImageManifest
from artifacts.oci.media import IMAGE_INDEX, IMAGE_MANIFEST, LAYER_TAR, REF_NAME

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
notes = st.dictionaries(texts | st.just(REF_NAME), texts, max_size=3)
platforms = st.builds(Platform, architecture=texts, os=texts, variant=st.none() | texts, os_version=st.none() | texts)
digests = st.binary(max_size=2).map(digest_bytes)
descriptors = st.builds(
    Descriptor,
    media_type=st.sampled_from([LAYER_TAR, IMAGE_MANIFEST, IMAGE_INDEX, "a/b+c", "application/vnd.x.y-z"]),
    digest=digests,
    size=st.integers(0, 2**53 - 1),
    annotations=notes,
    artifact_type=st.none() | st.just("application/x"),
    platform=st.none() | platforms,
)
several = st.lists(descriptors, max_size=4).map(tuple)
manifests = st.builds(
    ImageManifest,
    config=descriptors,
    layers=several,
    subject=st.none() | descriptors,
    artifact_type=st.none() | st.just("application/x"),
    annotations=notes,
)
indexes = st.builds(
    ImageIndex,
    manifests=several,
    subject=st.none() | descriptors,
    artifact_type=st.none() | st.just("application/x"),
    annotations=notes,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
json_bytes = json_values.map(lambda value: json.dumps(value).encode())

# SPDX-License-Identifier: Apache-2.0
"""Media types and annotation keys of the OCI image specification v1.1, and those of Docker that mean the same."""

from __future__ import annotations

from typing import Final

IMAGE_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX: Final = "application/vnd.oci.image.index.v1+json"
IMAGE_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TAR: Final = "application/vnd.oci.image.layer.v1.tar"
LAYER_TAR_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
EMPTY_BYTES: Final = b"{}"  # the content of every blob of that type

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFESTS: Final = frozenset({IMAGE_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({IMAGE_INDEX, DOCKER_INDEX})
DOCUMENTS: Final = MANIFESTS | INDEXES

REF_NAME: Final = "org.opencontainers.image.ref.name"  # in a layout's index: the tag
CREATED: Final = "org.opencontainers.image.created"

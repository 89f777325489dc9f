# SPDX-License-Identifier: Apache-2.0
"""The blob store suite over obstore's memory and local stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.stores.interface import BlobStore
from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import BlobStoreContract


class TestMemory(BlobStoreContract):
    """The memory store."""

    @pytest.fixture
    def store(self) -> BlobStore:
        return ObjectBlobStore.memory()


class TestLocal(BlobStoreContract):
    """A folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return ObjectBlobStore.local(tmp_path / "blobs")

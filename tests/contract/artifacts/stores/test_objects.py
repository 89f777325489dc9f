# SPDX-License-Identifier: Apache-2.0
"""The blob store suite over memory and a folder: plain, encrypted and mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Sealing
from artifacts.stores.bucket import Bucket
from artifacts.stores.interface import BlobStore
from artifacts.stores.mixed import MixedBlobStore
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.sealed import SealedBlobStore
from artifacts.testing import BlobStoreContract


def sealed(bucket: Bucket, folder: Path) -> SealedBlobStore:
    return SealedBlobStore(bucket, Sealing(FileKeys(folder / "keys")))


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


class TestSealedMemory(BlobStoreContract):
    """The memory store, encrypted."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return sealed(Bucket.memory(), tmp_path)


class TestSealedLocal(BlobStoreContract):
    """A folder, encrypted."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return sealed(Bucket.local(tmp_path / "blobs"), tmp_path)


class TestMixed(BlobStoreContract):
    """A folder that writes encrypted blobs and reads both kinds."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        bucket = Bucket.local(tmp_path / "blobs")
        return MixedBlobStore(sealed(bucket, tmp_path), ObjectBlobStore(bucket))

# SPDX-License-Identifier: Apache-2.0
"""The key provider suite over key files."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.keys.file import FileKeyProvider
from artifacts.keys.interface import KeyProvider
from artifacts.testing import KeyProviderContract


class TestFile(KeyProviderContract):
    """Keys in a folder."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> KeyProvider:
        return FileKeyProvider(tmp_path / "keys")

# SPDX-License-Identifier: Apache-2.0
"""Stores of other distributions: opened by their kind of URL, refused with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.plugins import GROUP, open_other
from artifacts.testing import refused
from core.clock import SystemClock
from core.errors import ErrorCode
from registry_api.bootstrap.blobs import open_bucket
from registry_api.settings.storage import StoreSettings
from tests.distributions import installed

CODE = """
    from obstore.store import MemoryStore

    class Plugin:
        port = 1
        name = "attic"
        def is_available(self):
            return None
        def open(self, url):
            assert url == "attic://house/left"
            return MemoryStore()
"""


async def test_blobs_are_kept_in_it(tmp_path: Path) -> None:
    """The registry's settings name its URL; blobs are stored once, checked and read as in any store."""
    with installed(tmp_path, group=GROUP, module="attic", code=CODE):
        bucket = open_bucket("attic://house/left", StoreSettings(), SystemClock())
    store = ObjectBlobStore(bucket, clock=SystemClock())
    data = bytes(1000)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    for _ in range(2):
        await store.put("acme", chunks(), digest=digest_bytes(data), size=len(data))
    assert await store.read("acme", digest_bytes(data), limit=len(data)) == data
    assert await store.size("other", digest_bytes(data)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("return None", "return 'no ladder'"), "no ladder"),
        (("return MemoryStore()", "raise OSError('locked')"), "OSError: locked"),
    ],
)
def test_one_that_cannot_be_used_is_refused(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """The registry does not start and says why."""
    with (
        installed(tmp_path, group=GROUP, module="attic", code=CODE.replace(*change)),
        refused(ErrorCode.SETTING_INVALID, "'attic' of attic 1.0", reason),
    ):
        open_other("attic", "attic://house/left")


def test_nobody_takes_over_our_kinds(tmp_path: Path) -> None:
    """A plugin that says it opens ``s3`` is disabled."""
    with installed(tmp_path, group=GROUP, module="attic", code=CODE.replace('"attic"\n', '"s3"\n')):
        assert open_other("s3", "s3://bucket") is None

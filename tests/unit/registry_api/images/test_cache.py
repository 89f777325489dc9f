# SPDX-License-Identifier: Apache-2.0
"""The caches of image builds: one for each tenant, emptied when they have grown too large and nobody uses them."""

from __future__ import annotations

from pathlib import Path

from registry_api.images.cache import cache_of

LIMIT = 100


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_each_tenant_has_its_own_and_keeps_it(tmp_path: Path) -> None:
    """What one build leaves, the next of the same tenant finds; another tenant's does not."""
    with cache_of("acme", tmp_path / "caches", limit_bytes=LIMIT) as cache:
        (cache / "wheels").mkdir()
        (cache / "wheels" / "a.whl").write_bytes(b"x" * LIMIT)
    with cache_of("acme", tmp_path / "caches", limit_bytes=LIMIT) as cache:
        assert names(cache) == ["a.whl", "wheels"]
    with cache_of("other", tmp_path / "caches", limit_bytes=LIMIT) as cache:
        assert names(cache) == []


def test_one_that_has_outgrown_its_limit_is_emptied(tmp_path: Path) -> None:
    """Before the next build, and with it what earlier builds made of it."""
    with cache_of("acme", tmp_path, limit_bytes=LIMIT) as cache:
        (cache / "a.whl").write_bytes(b"x" * (LIMIT + 1))
        assert names(cache) == ["a.whl"]
    with cache_of("acme", tmp_path, limit_bytes=LIMIT) as cache:
        assert names(cache) == []


def test_not_while_another_build_uses_it(tmp_path: Path) -> None:
    """Two builds at once share it; only one that begins alone empties it."""
    with cache_of("acme", tmp_path, limit_bytes=LIMIT) as cache:
        (cache / "a.whl").write_bytes(b"x" * (LIMIT + 1))
        with cache_of("acme", tmp_path, limit_bytes=LIMIT) as same:
            assert names(same) == ["a.whl"]
        assert names(cache) == ["a.whl"]

# SPDX-License-Identifier: Apache-2.0
"""Data keys wrapped by a real OpenBao."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

from artifacts.encryption.keys import KeyWrapper
from artifacts.encryption.transit import TransitKeyWrapper
from artifacts.secrets.testing import vault_connection
from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode
from deploy.local.components.openbao import OpenBao

KEY = os.urandom(32)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def wrapper(openbao: OpenBao, clock: ManualClock) -> TransitKeyWrapper:
    connection = vault_connection(openbao.address, openbao.token)
    return TransitKeyWrapper(connection, clock, prefix=f"test-{uuid4().hex[:8]}")


async def test_a_key_comes_back(wrapper: TransitKeyWrapper) -> None:
    """What was wrapped unwraps for its tenant, under the id it was wrapped with, and is nowhere in what is stored."""
    port: KeyWrapper = wrapper
    key_id, wrapped = await port.key_id("acme"), await port.wrap("acme", KEY)
    assert key_id.endswith("-kek-acme:v1")
    assert KEY not in wrapped
    assert await port.unwrap("acme", key_id, wrapped) == KEY


async def test_what_does_not_fit_is_damaged(wrapper: TransitKeyWrapper) -> None:
    """Another tenant, another id, another version or a changed byte: damaged, and nothing is unwrapped."""
    key_id, wrapped = await wrapper.key_id("acme"), await wrapper.wrap("acme", KEY)
    other = await wrapper.key_id("globex")
    changed = wrapped[:-8] + (b"A" if wrapped[-8:-7] != b"A" else b"B") + wrapped[-7:]
    wrong = [
        ("globex", key_id, wrapped), ("globex", other, wrapped), ("acme", key_id[:-1] + "2", wrapped),
        ("acme", "v1", wrapped), ("acme", key_id, changed), ("acme", key_id, b""), ("acme", key_id, b"\xff" * 40),
    ]  # fmt: skip
    for tenant, name, data in wrong:
        with refused(ErrorCode.BLOB_CORRUPT, "does not unwrap"):
            await wrapper.unwrap(tenant, name, data)


async def test_rotation_and_rewrap(wrapper: TransitKeyWrapper) -> None:
    """After a rotation new keys are wrapped by the new version, old ones unwrap, and can be rewrapped without being seen."""
    old_id, old = await wrapper.key_id("acme"), await wrapper.wrap("acme", KEY)
    new_id = await wrapper.rotate("acme")
    assert (old_id[-2:], new_id[-2:], await wrapper.key_id("acme")) == ("v1", "v2", new_id)
    assert (await wrapper.wrap("acme", KEY)).startswith(b"vault:v2:")
    rewrapped = await wrapper.rewrap("acme", old_id, old)
    assert rewrapped.startswith(b"vault:v2:")
    assert await wrapper.unwrap("acme", new_id, rewrapped) == await wrapper.unwrap("acme", old_id, old) == KEY


async def test_what_is_in_use_outlives_vault(wrapper: TransitKeyWrapper, clock: ManualClock, openbao: OpenBao) -> None:
    """Sealed: a key that was unwrapped keeps serving, another and a new one are refused as retryable; then all is well."""
    key_id, used, other = await wrapper.key_id("acme"), await wrapper.wrap("acme", KEY), await wrapper.wrap("acme", KEY)
    assert await wrapper.unwrap("acme", key_id, used) == KEY
    openbao.seal()
    try:
        clock.advance(7200)
        assert await wrapper.unwrap("acme", key_id, used) == KEY
        for asked in (wrapper.unwrap("acme", key_id, other), wrapper.wrap("acme", KEY)):
            with refused(ErrorCode.STORE_UNAVAILABLE, "sealed"):
                await asked
    finally:
        openbao.unseal()
    assert await wrapper.unwrap("acme", key_id, other) == KEY

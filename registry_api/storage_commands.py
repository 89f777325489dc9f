# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api gc | fsck | rewrap | convert``: the store's maintenance from the command line.

They use the registry's own settings and may run beside it. What they found is printed to stdout; fsck ends with 1 when
something that is needed is missing or damaged, rewrap and convert when they met something damaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from registry_api.bootstrap.platform import Platform, open_platform, tenant_blobs
from registry_api.housekeeping import collect
from registry_api.settings.registry import Settings
from registry_api.storage.checking import StoreCheck, TenantReport
from registry_api.storage.rewrapping import Done, convert, rewrap


async def run_gc(settings: Settings) -> bool:
    """Collects garbage once."""
    async with open_platform(settings) as platform:
        done = await collect(platform, tenant_blobs(platform))
    click.echo(f"{done.looked_at} blobs looked at, {done.removed} removed, {done.remains} remains of writes removed")
    return True


async def run_fsck(settings: Settings, *, deep: bool) -> bool:
    """Compares database and store; True if everything needed is there."""
    sound = True
    async with open_platform(settings) as platform:
        async for report in StoreCheck(platform.db, platform.store, deep=deep).reports():
            _show(report)
            sound &= report.sound
    return sound


async def run_rewrap(settings: Settings, *, tenants: Sequence[str], rotate: bool) -> bool:
    """Wraps data keys by the newest keys; True if nothing was damaged."""
    async with open_platform(settings) as platform:
        done = await rewrap(platform.blobs, await _tenants(platform, tenants), rotate=rotate)
    return _tell(done, "rewrapped")


async def run_convert(settings: Settings, *, tenants: Sequence[str]) -> bool:
    """Makes every blob what new blobs are; True if nothing was damaged."""
    async with open_platform(settings) as platform:
        done = await convert(platform.blobs, await _tenants(platform, tenants))
        kind = "encrypted" if platform.blobs.encryption else "decrypted"
    return _tell(done, kind)


async def _tenants(platform: Platform, named: Sequence[str]) -> list[str]:
    return list(named) or await platform.store.tenants()


def _show(report: TenantReport) -> None:
    click.echo(
        f"{report.tenant}: {report.needed} needed, {len(report.missing)} missing, {len(report.damaged)} damaged, "
        f"{report.unreferenced} unreferenced ({report.unreferenced_bytes} bytes)"
    )
    for state, digests in (("missing", report.missing), ("damaged", report.damaged)):
        for digest in digests:
            click.echo(f"  {state} {digest}")


def _tell(done: Done, verb: str) -> bool:
    click.echo(f"{done.looked_at} blobs looked at, {done.changed} {verb}, {done.damaged} damaged")
    return done.damaged == 0

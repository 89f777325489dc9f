# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api serve | worker | migrate | backup | restore | audit verify``. Settings come from the environment.

Exit codes: 0 after a normal stop, 1 when what was asked for cannot be done, 2 for a wrong command, 75 when it may succeed
later, 78 when the process cannot start as configured.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click
import uvloop

from core.clock import SystemClock
from core.errors import FuroshikiError, InitError, TransientError
from core.telemetry import logs
from registry_api.settings.registry import Settings

if TYPE_CHECKING:  # a process does not load what another command needs
    from registry_api.audit.verifying import Verdict
    from registry_api.db.backup.manifest import BackupManifest

T = TypeVar("T")

FAILED: Final = 1
TRY_LATER: Final = 75  # EX_TEMPFAIL of sysexits.h
NOT_CONFIGURED: Final = 78  # EX_CONFIG of sysexits.h


@click.group(help=__doc__)
def main() -> None:
    """The registry's processes."""


@main.command(help="Serve the REST API.")
def serve() -> None:
    """Serves until a signal comes."""
    from artifacts.stores.memory import use_one_arena
    from registry_api.server import serve as run

    use_one_arena()
    settings = _start("registry")
    _run(run(settings))


@main.command(help="Run jobs: builds and deployments.")
def worker() -> None:
    """Works until a signal comes."""
    from registry_api.worker import run

    settings = _start("worker")
    _run(run(settings))


@main.command(help="Bring the database to the schema of this release, and stop.")
@click.option(
    "--phase",
    type=click.Choice(["pre", "post"]),
    help="pre: before the new release starts; post: after the old one ended.",
)
@click.option("--check", is_flag=True, help="Change nothing; list what would run. Exit code 1 if that is anything.")
def migrate(phase: str | None, check: bool) -> None:
    """Runs or lists the pending migrations."""
    from registry_api.bootstrap.database import migrate as run
    from registry_api.bootstrap.database import pending
    from registry_api.bootstrap.first_start import exclusive
    from registry_api.db.migrations import Phase

    settings = _start("migrate")
    wanted = None if phase is None else Phase(phase)

    async def migrate_alone() -> list[str]:
        if check:
            return await pending(settings, wanted)
        async with exclusive(settings):
            return await run(settings, wanted)

    revisions = _run(migrate_alone()) or []
    for revision in revisions:
        click.echo(revision)
    sys.exit(1 if check and revisions else 0)


@main.command(help="Copy the database to the new folder TARGET, while the registry runs.")
@click.argument("target", type=click.Path(path_type=Path))
def backup(target: Path) -> None:
    """Writes a backup."""
    from registry_api.backups.service import back_up

    settings = _start("backup")
    manifest = _run(back_up(settings, SystemClock(), target))
    if manifest is not None:
        click.echo(f"{target}: {manifest.backend} at {manifest.revision}, needs {manifest.blobs} blobs")


@main.command(help="Put the backup SOURCE back. End every process of the registry first.")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--force", is_flag=True, help="Also into a database that is not empty; what it holds is lost.")
@click.option("--without-blobs", is_flag=True, help="Also when the store lacks blobs that the backup needs.")
def restore(source: Path, force: bool, without_blobs: bool) -> None:
    """Restores a backup."""
    from registry_api.backups.service import restore as run
    from registry_api.bootstrap.blobs import open_blobs
    from registry_api.bootstrap.first_start import exclusive

    settings, clock = _start("restore"), SystemClock()

    async def restore_alone() -> BackupManifest:
        async with exclusive(settings):
            store = open_blobs(settings, clock).store
            return await run(settings, store, source, replace=force, without_blobs=without_blobs)

    manifest = _run(restore_alone())
    if manifest is not None:
        click.echo(f"restored {manifest.revision} of {manifest.created_at}; start the registry")


@main.group()
def audit() -> None:
    """The history of the tenants."""


@audit.command(name="verify", help="Recompute the history in the database. Exit code 1 if anything does not fit.")
@click.option("--tenant", help="Only of this tenant; without it, of all.")
def verify_audit(tenant: str | None) -> None:
    """Verifies."""
    from registry_api.audit.service import AuditService
    from registry_api.bootstrap.platform import open_platform

    settings = _start("audit")

    async def verify() -> Sequence[Verdict]:
        async with open_platform(settings) as platform:
            service = AuditService(platform.db, platform.keys, platform.clock)
            names = await service.tenants() if tenant is None else [tenant]
            return [await service.verify(name) for name in names]

    verdicts = _run(verify()) or []
    for verdict in verdicts:
        state = f"{len(verdict.findings)} findings" if verdict.findings else "intact"
        click.echo(f"{verdict.tenant}: {verdict.entries} entries, signed up to {verdict.signed_seq}, {state}")
        for finding in verdict.findings:
            click.echo(f"  entry {finding.seq}: {finding.problem}")
    sys.exit(FAILED if any(verdict.findings for verdict in verdicts) else 0)


@main.command(help="Remove blobs that nobody refers to. May run beside the registry.")
def gc() -> None:
    """Collects garbage."""
    from registry_api.storage_commands import run_gc

    _report(run_gc(_start("gc")))


@main.command(help="Check that the store holds every blob that is needed. May run beside the registry.")
@click.option("--deep", is_flag=True, help="Read every byte, too.")
def fsck(deep: bool) -> None:
    """Checks the store; exit code 1 if something is missing or damaged."""
    from registry_api.storage_commands import run_fsck

    _report(run_fsck(_start("fsck"), deep=deep))


@main.command(help="Wrap the data keys of encrypted blobs by the newest encryption key. May run beside the registry.")
@click.option("--tenant", "tenants", multiple=True, help="Only this one; may be repeated.")
@click.option("--rotate", is_flag=True, help="Make a new encryption key first.")
def rewrap(tenants: tuple[str, ...], rotate: bool) -> None:
    """Rewraps data keys."""
    from registry_api.storage_commands import run_rewrap

    _report(run_rewrap(_start("rewrap"), tenants=tenants, rotate=rotate))


@main.command(
    help="Encrypt blobs that are still plain (or, with encryption off, the reverse). May run beside the registry."
)
@click.option("--tenant", "tenants", multiple=True, help="Only this one; may be repeated.")
def convert(tenants: tuple[str, ...]) -> None:
    """Makes every blob what new ones are."""
    from registry_api.storage_commands import run_convert

    _report(run_convert(_start("convert"), tenants=tenants))


def _report(work: Coroutine[Any, Any, bool]) -> None:
    if _run(work) is False:
        sys.exit(FAILED)


def _start(service: str) -> Settings:
    try:
        settings = Settings.read()
    except InitError as error:
        _refuse(error)
    logs.configure(level=settings.log.level, style=settings.log.style, service=service)
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T | None:
    try:
        return uvloop.run(work)
    except InitError as error:
        _refuse(error)
    except TransientError as error:
        _fail(error, TRY_LATER)
    except FuroshikiError as error:
        _fail(error, FAILED)
    except KeyboardInterrupt:
        return None


def _refuse(error: InitError) -> NoReturn:
    _fail(error, NOT_CONFIGURED)


def _fail(error: FuroshikiError, status: int) -> NoReturn:
    cause = error.log_context.get("cause")
    click.echo(f"{error} ({cause})" if cause else str(error), err=True)
    sys.exit(status)


if __name__ == "__main__":
    main(prog_name="python -m registry_api")

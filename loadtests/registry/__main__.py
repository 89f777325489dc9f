# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.registry``: fills a PostgreSQL of its own, asks it, and prints latencies against their goals.

Exit code 0 if every goal is met, else 1.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from core import garbage
from deploy.local.components.postgres import PostgresDatabase, postgres
from loadtests.registry.plans import PAGE, write
from loadtests.registry.questions import Answered, answer, questions
from loadtests.registry.rate import resolves_per_second
from loadtests.registry.seed import Size, seed
from registry_api.bootstrap.platform import open_platform, open_services
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings

P99_MS: Final = 20.0
RESOLVES: Final = 2000.0  # per second

talk = Console(stderr=True, highlight=False)
show = Console(highlight=False)


@click.command(help=__doc__)
@click.option("--versions", default=100_000, show_default=True, help="A multiple of 1,000.")
@click.option("--requests", default=10_000_000, show_default=True, help="Logged inference requests.")
@click.option("--times", default=500, show_default=True, help="How often each question is asked.")
@click.option("--seconds", default=10, show_default=True, help="Of load over HTTP.")
@click.option("--write-page", is_flag=True, help="Write docs/query-plans.md.")
def main(versions: int, requests: int, times: int, seconds: int, write_page: bool) -> None:
    """Runs the benchmark."""
    size = Size(versions=versions, requests=requests)
    with tempfile.TemporaryDirectory(prefix="furoshiki-registry-") as folder, postgres(Path(folder) / "pg") as server:
        database, home = server.create("bench"), Path(folder) / "home"
        answers = asyncio.run(_ask(database, home, size, times))
        talk.print("loading the resolve route")
        rate = resolves_per_second(database, home, models=size.models, seconds=seconds)
    _print(answers, rate)
    if write_page:
        write(PAGE, size, answers, rate)
        talk.print(f"wrote {PAGE}")
    sys.exit(0 if rate[0] >= RESOLVES and all(each.p99 <= P99_MS for each in answers) else 1)


async def _ask(database: PostgresDatabase, home: Path, size: Size, times: int) -> list[Answered]:
    settings = Settings(home=home, database=DatabaseSettings(url=database.url, owner_url=database.owner_url))
    async with open_platform(settings) as platform, open_services(platform) as services:
        talk.print(f"writing {size.versions:,} versions and {size.requests:,} requests")
        await seed(database.owner_url, size)
        garbage.settle()  # as the server does
        answers = []
        for name, ask in questions(services, size.models).items():
            talk.print(name)
            answers.append(await answer(platform.db, name, ask, times=times))
        return answers


def _print(answers: list[Answered], rate: tuple[float, float]) -> None:
    table = Table("question", "p50 ms", "p99 ms", f"p99 ≤ {P99_MS:.0f} ms")
    for each in answers:
        table.add_row(each.name, f"{each.p50:.2f}", f"{each.p99:.2f}", "met" if each.p99 <= P99_MS else "MISSED")
    show.print(table)
    verdict = "met" if rate[0] >= RESOLVES else "MISSED"
    show.print(
        f"resolves per second on one worker: {rate[0]:,.0f} (p99 {rate[1]:.1f} ms); ≥ {RESOLVES:,.0f}: {verdict}"
    )


if __name__ == "__main__":
    main()

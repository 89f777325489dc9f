# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.bench``: ``run`` measures, ``report`` shows a result file again, ``list`` names the works.

A run prints its tables and goals and keeps every sample under ``loadtests/results/``. Its exit code is 0 whether goals are
met or missed, and 1 if a server failed or answered wrongly, or this service answered anything but 200 under load.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from deploy.local.stack import ROOT
from loadtests.bench.document import PAGE, rewrite
from loadtests.bench.place import PEERS, Place, installed
from loadtests.bench.report import figures, goals
from loadtests.bench.results import Results, new_results
from loadtests.bench.runner import measure
from loadtests.bench.work import OURS, Work
from loadtests.bench.works import WORKS

talk = Console(stderr=True, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    code: int = options.command(options)
    return code


def _run(options: argparse.Namespace) -> int:
    works = _chosen(options.works)
    if reason := _not_ready(works, options.without):
        talk.print(reason, style="red")
        return 1
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    results = new_results(rounds=rounds, seconds=seconds, quick=options.quick, without=options.without)
    with tempfile.TemporaryDirectory(prefix="furoshiki-bench-") as folder, Place(Path(folder)) as place:
        measure(results, works, place, tell=talk.print)
    _show(results, works)
    talk.print(f"raw samples: {results.path.relative_to(ROOT)}")
    return 1 if results.failures or _our_errors(results) else 0


def _report(options: argparse.Namespace) -> int:
    results = Results.read(options.file)
    works = [work for work in WORKS if results.contenders(work.name)]
    _show(results, works)
    if options.write:
        rewrite(PAGE, results, works)
        talk.print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


def _list(_: argparse.Namespace) -> int:
    for work in WORKS:
        print(f"{work.name:16} {work.title}")
    return 0


def _show(results: Results, works: Sequence[Work]) -> None:
    out = Console(width=150, highlight=False)
    for work in works:
        out.print(figures(results, work).rich())
    out.print(goals(results, works).rich())


def _chosen(patterns: Sequence[str]) -> list[Work]:
    for pattern in patterns:
        if not any(fnmatchcase(work.name, pattern) for work in WORKS):
            raise SystemExit(f"No work is called {pattern!r}; there are {', '.join(work.name for work in WORKS)}.")
    return [work for work in WORKS if not patterns or any(fnmatchcase(work.name, each) for each in patterns)]


def _not_ready(works: Sequence[Work], without: Sequence[str]) -> str | None:
    """Why the run cannot start: a peer that is neither installed nor left out."""
    needed = {contender.peer for work in works for contender in work.contenders if contender.peer is not None}
    for peer in sorted(needed - set(without)):
        if not installed(peer):
            where = (PEERS / peer / "ready").relative_to(ROOT)
            return f"{peer} is not installed: run `make {where}`, or leave it out with --without {peer}."
    return None


def _our_errors(results: Results) -> bool:
    ours = {OURS, "split", "embedded"}
    return any(sample.metrics.get("errors") for sample in results.samples if sample.contender.partition(",")[0] in ours)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument("works", nargs="*", metavar="WORK", help="names or patterns; none: all")
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument("--seconds", type=float, default=5.0, help="per sample")
    run.add_argument("--quick", action="store_true", help="one round of one second: does everything run?")
    run.add_argument("--without", action="append", default=[], metavar="PEER", help="leave a peer out")
    run.set_defaults(command=_run)
    report = commands.add_parser("report", help="show a result file")
    report.add_argument("file", type=Path)
    report.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its charts from it")
    report.set_defaults(command=_report)
    commands.add_parser("list", help="name the works").set_defaults(command=_list)
    return parser


if __name__ == "__main__":
    sys.exit(main())

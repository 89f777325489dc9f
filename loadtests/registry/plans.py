# SPDX-License-Identifier: Apache-2.0
"""Writes docs/query-plans.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.stack import ROOT
from loadtests.registry.questions import Answered
from loadtests.registry.seed import Size

PAGE: Final = ROOT / "docs" / "query-plans.md"

_INTRODUCTION: Final = """# Query plans

What PostgreSQL does for the questions that are asked most, with {versions:,} versions and {requests:,} logged requests, a
tenth of them another tenant's. Written by `python -m loadtests.registry`; each time is that of the whole service call, warm,
one after the other, on the machine that wrote the page. `$0` and `InitPlan` are row-level security: the tenant of the
transaction's pass, computed once per statement (docs/adr/0013-row-level-security.md).
"""


def write(page: Path, size: Size, answers: Sequence[Answered], rate: tuple[float, float] | None) -> None:
    """Writes the page."""
    parts = [_INTRODUCTION.format(versions=size.versions, requests=size.requests), *_table(answers, rate)]
    for each in answers:
        parts.append(f"\n## {each.name[0].upper()}{each.name[1:]}\n")
        parts.extend(f"```\n{statement}\n```\n" for statement in each.statements)
    page.write_text("\n".join(parts))


def _table(answers: Sequence[Answered], rate: tuple[float, float] | None) -> list[str]:
    lines = ["| question | p50 ms | p99 ms |", "| --- | --- | --- |"]
    lines += [f"| {each.name} | {each.p50:.2f} | {each.p99:.2f} |" for each in answers]
    if rate is not None:
        lines.append(
            f"\nAuthenticated resolves over HTTP on one worker: {rate[0]:,.0f} per second, p99 {rate[1]:.1f} ms."
        )
    return lines

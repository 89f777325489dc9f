# SPDX-License-Identifier: Apache-2.0
"""Questions before what is not easily taken back. They are asked on stderr, and answered on stdin."""

from __future__ import annotations

import click


def confirm(question: str, *, without: str) -> None:
    """Asks, and goes on after a yes.

    Args:
        question: What is about to be done.
        without: The option that does it without asking.

    Raises:
        click.Abort: The answer is no, or Ctrl-C.
        click.UsageError: There is nobody to answer: stdin has ended.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            raise click.UsageError(f"Nobody answered. Give {without} to go on without being asked.") from None
        raise

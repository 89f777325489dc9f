# SPDX-License-Identifier: Apache-2.0
"""What every command shares: the client, the output format, and the one place where errors become exit codes.

Results go to stdout, in the format that ``--output`` names; everything else goes to stderr. With ``--output json`` an
error is JSON too: ``{"error": {"code", "message", "retryable", "request_id"}}`` on stderr.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console

from furoshiki.cli.exits import Exit, exit_of
from furoshiki.client import Client
from furoshiki.config import Config
from furoshiki.errors import FuroshikiError

P = ParamSpec("P")
R = TypeVar("R")

_AROUND: Final = 6  # columns beside the names and texts of commands in help


@dataclass(slots=True)
class App:
    """One run of ``furo``.

    Args:
        connect: Makes a client; takes what :class:`Client` takes.
        output: ``table`` or ``json``.
    """

    connect: Callable[..., Client] = Client
    output: str = "table"
    _client: Client | None = field(default=None, init=False)

    @property
    def client(self) -> Client:
        """The client, made on first use."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def use(self, config: Config) -> None:
        """Makes the client connect as ``config`` says, whatever environment and file say."""
        self.close()
        self._client = self.connect(config.url, inference_url=config.inference_url, api_key=config.api_key)

    @property
    def talk(self) -> Console:
        """Where progress and remarks go."""
        return Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Remarks something on stderr."""
        click.echo(text, err=True)

    def close(self) -> None:
        """Closes the client if one was made."""
        if self._client is not None:
            self._client.close()


class FuroGroup(click.Group):
    """Turns expected errors into a sentence and an exit code; nothing expected ever shows a traceback.

    Its help lists the commands by ``sections``: the names of commands by heading, each command once.
    """

    sections: Mapping[str, Sequence[str]] = MappingProxyType({})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Writes the commands of each section."""
        longest = max(map(len, self.commands))
        for heading, names in self.sections.items():
            with formatter.section(heading):
                limit = formatter.width - longest - _AROUND
                texts = [self.commands[name].get_short_help_str(limit) for name in names]
                formatter.write_dl([(name.ljust(longest), text) for name, text in zip(names, texts, strict=True)])

    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.ensure_object(App)
        try:
            return super().invoke(ctx)
        except FuroshikiError as error:
            _report(app, error)
            ctx.exit(exit_of(error))
        except (KeyboardInterrupt, click.Abort):
            app.say("Interrupted.")
            ctx.exit(Exit.INTERRUPTED)
        finally:
            app.close()


def with_app(command: Callable[Concatenate[App, P], R]) -> Callable[P, R]:
    """Gives a command the :class:`App` and the option ``--output``."""

    @click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Format of the result on stdout.",
    )
    @click.pass_context
    @functools.wraps(command)
    def run(ctx: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        app = ctx.ensure_object(App)
        app.output = str(kwargs.pop("output"))
        return command(app, *args, **kwargs)

    return run


def _report(app: App, error: FuroshikiError) -> None:
    if app.output == "json":
        shown = {
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "request_id": error.request_id,
        }
        app.say(msgspec.json.encode({"error": shown}).decode())
    else:
        app.say(f"Error: {error}")

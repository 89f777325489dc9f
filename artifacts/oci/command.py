# SPDX-License-Identifier: Apache-2.0
"""What command lines that reach image registries share: options, progress, and how they end.

A refusal is one line of JSON on stderr, ``{"code", "message"}``, and exit status 3. Passwords come from stdin or from the
environment, never from arguments, which everybody on the machine can read.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
import msgspec

from artifacts.digest import Digest
from artifacts.oci.access import Access, Credentials
from artifacts.oci.copying import Moved
from artifacts.oci.credentials import stored_credentials
from artifacts.oci.descriptor import Platform
from artifacts.oci.layout import Layout
from artifacts.oci.reference import Reference
from core.errors import ErrorCode, FuroshikiError, InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")

REFUSED: Final = 3
PASSWORD: Final = "FUROSHIKI_OCI_PASSWORD"  # noqa: S105 - the variable's name
_MOST_PASSWORD: Final = 64 * 1024  # bytes; tokens serve as passwords too
_LARGE_BYTES: Final = 32 * 1024 * 1024  # blobs from here on are told by tenths


class RefusingGroup(click.Group):
    """Turns errors into a line of JSON on stderr and the exit status 3."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except FuroshikiError as error:
            code, message = error.code, error.message
        except OSError as error:
            if error.filename is None:
                raise
            code, message = ErrorCode.STORE_UNAVAILABLE, f"{str(error.filename)!r}: {error.strerror}."
        click.echo(msgspec.json.encode({"code": code, "message": message}).decode(), err=True)
        ctx.exit(REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How the caller wants a registry to be reached."""

    username: str | None
    password_stdin: bool
    ca_file: Path | None
    plain_http: bool

    def access(self, reference: Reference) -> Access:
        """How the registry of ``reference`` is reached.

        Raises:
            InvalidRequest: ``VALID_002`` if there is a user without a password, or the other way round.
            InitError: ``INIT_002`` if stored credentials cannot be used.
        """
        credentials = self._given() if self.username or self.password_stdin else stored_credentials(reference)
        return Access(credentials=credentials, ca_file=self.ca_file, plain_http=self.plain_http)

    def _given(self) -> Credentials:
        if self.password_stdin:
            password = sys.stdin.buffer.read(_MOST_PASSWORD).decode(errors="replace").rstrip("\r\n")
        else:
            password = os.environ.get(PASSWORD, "")
        if not self.username or not password:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"A login is a user and a password; give --username, and --password-stdin or {PASSWORD}.",
                details={"field": "username"},
            )
        return Credentials(username=self.username, password=password)


def reaching(command: Callable[Concatenate[Reach, P], R]) -> Callable[P, R]:
    """Gives a command the options of :class:`Reach`."""

    @click.option(
        "--username", help=f"User of the registry; the password is in {PASSWORD} or comes by --password-stdin."
    )
    @click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
    @click.option("--ca-file", type=click.Path(path_type=Path), help="PEM of the authorities of the registry's TLS.")
    @click.option("--plain-http", is_flag=True, help="Reach a registry beyond this machine without TLS.")
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {name: kwargs.pop(name) for name in Reach.__dataclass_fields__}
        return command(Reach(**given), *args, **kwargs)

    return run


class Telling:
    """Tells on stderr how far each blob is: a line for each, ten for a large one."""

    def __init__(self) -> None:
        self._told: dict[Digest, int] = {}

    def __call__(self, moved: Moved) -> None:
        """Notes how far one blob is."""
        tenths = 10 if moved.there >= moved.size else 10 * moved.there // moved.size
        if tenths == self._told.get(moved.digest) or (tenths < 10 and moved.size < _LARGE_BYTES):
            return
        self._told[moved.digest] = tenths
        tell(f"{moved.digest[:19]} {moved.size} bytes {tenths * 10} %")


def tell(line: str) -> None:
    """Remarks something."""
    click.echo(line, err=True)


def parse_platform(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Platform | None:
    """Reads ``OS/ARCHITECTURE[/VARIANT]``, a callback of an option."""
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise click.BadParameter(f"{text!r} is no platform; expected such as linux/amd64.")
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else None)


def layout_at(folder: Path) -> Layout:
    """The layout in a folder; a new one where the folder is new or empty.

    Raises:
        FuroshikiError: As :meth:`Layout.open` and :meth:`Layout.create`.
    """
    return Layout.open(folder) if (folder / "oci-layout").exists() else Layout.create(folder)

# SPDX-License-Identifier: Apache-2.0
"""``digits``, ``digits@3`` or ``digits@champion`` on the command line: callbacks of click parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from furoshiki.errors import LOCAL_FILE, InvalidRequest

_REF: Final = re.compile(r"(?P<model>[a-z0-9][a-z0-9._-]{0,62})(@(?P<version>[1-9][0-9]{0,9}))?")
_ALIAS: Final = re.compile(r"(?P<model>[a-z0-9][a-z0-9._-]{0,62})@(?P<alias>[a-z][a-z0-9._-]{0,62})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A model of the caller's tenant, perhaps at a version or under an alias."""

    model: str
    version: int | None  # None: the one of the alias, else the one in production, else the newest
    alias: str | None = None  # None: none was named

    @property
    def selector(self) -> int | str | None:
        """What stands behind the @."""
        return self.alias if self.version is None else self.version

    def __str__(self) -> str:
        return self.model if self.selector is None else f"{self.model}@{self.selector}"


def parse_ref(ctx: click.Context, param: click.Parameter | None, value: str) -> Ref:
    """Reads ``MODEL`` or ``MODEL@VERSION``; a usage error if it is neither."""
    found = _REF.fullmatch(value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is no reference; expected MODEL or MODEL@VERSION, such as digits@3.", ctx, param
        )
    return Ref(model=found["model"], version=int(found["version"]) if found["version"] else None)


def parse_version_ref(ctx: click.Context, param: click.Parameter | None, value: str | None) -> Ref | None:
    """Reads ``MODEL@VERSION``; None if the option was not given."""
    if value is None:
        return None
    ref = parse_ref(ctx, param, value)
    if ref.version is None:
        raise click.BadParameter(f"{value!r} names no version; expected MODEL@VERSION, such as digits@3.", ctx, param)
    return ref


def parse_any_ref(ctx: click.Context, param: click.Parameter | None, value: str) -> Ref:
    """Reads ``MODEL``, ``MODEL@VERSION`` or ``MODEL@ALIAS``; a usage error if it is none of them."""
    found = _ALIAS.fullmatch(value)
    return (
        parse_ref(ctx, param, value) if found is None else Ref(model=found["model"], version=None, alias=found["alias"])
    )


def parse_alias_ref(ctx: click.Context, param: click.Parameter | None, value: str) -> Ref:
    """Reads ``MODEL@ALIAS``; a usage error if it is not."""
    ref = parse_any_ref(ctx, param, value)
    if ref.alias is None:
        raise click.BadParameter(
            f"{value!r} names no alias; expected MODEL@ALIAS, such as digits@champion.", ctx, param
        )
    return ref


def refuse_missing_folder(text: str) -> None:
    """Refuses what can only be meant as a folder and is none: a path that begins with ``.``, ``/`` or ``~``.

    Raises:
        InvalidRequest: ``CLIENT_004`` if it is such a path.
    """
    if text.startswith((".", "/", "~")) and not Path(text).is_dir():
        raise InvalidRequest(LOCAL_FILE, f"There is no folder {text!r}.")

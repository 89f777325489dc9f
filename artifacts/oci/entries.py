# SPDX-License-Identifier: Apache-2.0
"""The entries of a layout's index, and their names. Pure.

A name stands at one entry at most; adding it to another takes it from the first. An entry without a name is one that lost it,
or that never had one: it stays until it is removed, so that nothing that was put in vanishes.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from artifacts.digest import Digest
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.media import REF_NAME
from artifacts.oci.refusals import invalid_document
from core.errors import ErrorCode, InvalidRequest

MAX_NAME: Final = 255  # characters
_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:(?:[-._:@/+]|--)[A-Za-z0-9]+)*")  # of image-layout.md

Entries: TypeAlias = tuple[Descriptor, ...]


def check_name(name: str) -> str:
    """Returns ``name`` if an entry may have it.

    Raises:
        InvalidRequest: ``VALID_002`` if not.
    """
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Tag {name[:80]!a} cannot name an image; expected letters and digits, separated by one of - . _ : @ / +.",
            details={"field": "tag"},
        )
    return name


def name_of(entry: Descriptor) -> str | None:
    """The name of an entry; None if it has none."""
    return entry.annotations.get(REF_NAME)


def named(entries: Entries, name: str) -> Descriptor | None:
    """The entry of that name; None if there is none.

    Raises:
        SignatureError: ``SIGN_010`` if it stands at several manifests.
    """
    found = {entry.digest: entry for entry in entries if name_of(entry) == name}
    if len(found) > 1:
        raise invalid_document("index.json", f"several manifests named {name}", "one")
    return next(iter(found.values()), None)


def with_entry(entries: Entries, added: Descriptor) -> Entries:
    """The entries with one more. A manifest that has a name needs no entry without one."""
    name = name_of(added)
    freed = (entry.annotated(**{REF_NAME: None}) if name and name_of(entry) == name else entry for entry in entries)
    candidates = (*freed, added)
    covered = {entry.digest for entry in candidates if name_of(entry) is not None}
    kept: list[Descriptor] = []
    for entry in candidates:
        if name_of(entry) is not None:
            kept.append(entry)
        elif entry.digest not in covered:
            covered.add(entry.digest)
            kept.append(entry)
    return tuple(kept)


def without(entries: Entries, digest: Digest) -> Entries:
    """The entries without those of one manifest."""
    return tuple(entry for entry in entries if entry.digest != digest)

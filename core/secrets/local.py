# SPDX-License-Identifier: Apache-2.0
"""Secrets that are on this machine already: in the environment, or in files as Kubernetes and systemd mount them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.request import url2pathname

from core.errors import ErrorCode, InvalidRequest
from core.secrets.interface import Reference, Revealed

MAX_BYTES: Final = 1 << 20


class EnvironmentSecrets:
    """``env://NAME``."""

    def read(self, reference: Reference) -> Revealed:
        value = os.environ.get(reference.path)
        if value is None or reference.field is not None:
            raise no_secret(reference, "expected the name of a variable that is set: env://NAME")
        return Revealed(value)


class FileSecrets:
    """``file:///path``."""

    def read(self, reference: Reference) -> Revealed:
        if not reference.path.startswith("/") or reference.field is not None:
            raise no_secret(reference, "expected an absolute path: file:///path")
        try:
            with Path(url2pathname(reference.path)).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            text = data.decode()
        except OSError as error:
            raise no_secret(reference, f"the file cannot be read ({error.strerror})") from None
        except ValueError:
            raise no_secret(reference, "the file is not UTF-8 text") from None
        if len(data) > MAX_BYTES:
            raise no_secret(reference, f"the file is larger than {MAX_BYTES} bytes")
        return Revealed(text.removesuffix("\n").removesuffix("\r"))


def no_secret(reference: Reference, reason: str) -> InvalidRequest:
    """The error for a reference that names no secret: ``VALID_002``."""
    return InvalidRequest(ErrorCode.INVALID_FIELD, f"{reference}: {reason}.", details={"field": "reference"})

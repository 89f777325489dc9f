# SPDX-License-Identifier: Apache-2.0
"""Credentials of image registries as docker and podman keep them: for the command line, which runs as who logged in.

Read is one file: that of ``REGISTRY_AUTH_FILE``, else ``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``. In it
count, in this order: the program of ``credHelpers`` for the registry, that of ``credsStore``, and ``auths``, where the
longest key wins that is the repository or a folder above it. A program NAME is ``docker-credential-NAME`` on the ``PATH``.
Identity tokens are not read. After ``containers-auth.json(5)`` and https://github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from artifacts.oci.access import Credentials
from artifacts.oci.reference import Reference
from core.errors import ErrorCode, InitError

MAX_FILE_BYTES: Final = 1024 * 1024
HELPER_S: Final = 60.0  # a program may ask its user
_PROGRAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VERSION: Final = re.compile(r"/v[12]/?\Z")
_HUB: Final = "docker.io"
_HUB_SERVER: Final = "https://index.docker.io/v1/"  # under which programs know it
_UNKNOWN: Final = "credentials not found"  # what programs print for a registry without a login
_TOKEN_USER: Final = "<token>"  # noqa: S105 - how programs mark an identity token


class _Login(msgspec.Struct, frozen=True):
    auth: str = ""  # base64 of "user:password"
    identitytoken: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Login] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


def stored_credentials(reference: Reference, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """What is kept for the registry of ``reference``; None if nothing is.

    Raises:
        InitError: ``INIT_002`` if the file that is named or found cannot be read, or a program fails.
    """
    path = _place(environment)
    if path is None:
        return None
    kept = _read(path)
    program = kept.cred_helpers.get(reference.host) or kept.creds_store
    asked = None if not program else _ask(program, reference.host)
    return asked or _listed(kept.auths, reference, path)


def _place(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return Path(named)
    folder = environment.get("DOCKER_CONFIG")
    path = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    return path if path.is_file() else None


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise _unusable(f"{str(path)!r} has more than {MAX_FILE_BYTES} bytes")
        return msgspec.json.decode(data, type=_File)
    except OSError as error:
        raise _unusable(f"{str(path)!r} cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unusable(f"{str(path)!r} is no such file of docker or podman") from None


def _listed(auths: Mapping[str, _Login], reference: Reference, path: Path) -> Credentials | None:
    """The login under the longest key that covers the repository."""
    logins = {_normal(key): login for key, login in auths.items()}
    parts = (reference.host, *reference.repository.split("/"))
    for length in range(len(parts), 0, -1):
        login = logins.get("/".join(parts[:length]))
        if login is not None and (login.auth or login.identitytoken):
            return _decoded(login, f"{str(path)!r} holds for {reference.host}")
    return None


def _normal(key: str) -> str:
    """A key without what older tools wrote around it."""
    bare = _VERSION.sub("", re.sub(r"\Ahttps?://", "", key)).rstrip("/")
    return _HUB if bare in {"index.docker.io", "registry-1.docker.io"} else bare


def _decoded(login: _Login, where: str) -> Credentials:
    if not login.auth:
        raise _unusable(f"what {where} is an identity token, which is not read")
    try:
        username, colon, password = base64.b64decode(login.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise _unusable(f"what {where} is not a user and a password")
    return Credentials(username=username, password=password.rstrip("\0"))


def _ask(program: str, host: str) -> Credentials | None:
    """What a program keeps; it talks as docker's helpers do."""
    name = f"docker-credential-{program}"
    found = shutil.which(name) if _PROGRAM.fullmatch(program) else None
    if found is None:
        raise _unusable(f"the program {name[:100]!a} is not installed")
    server = _HUB_SERVER if host == _HUB else host
    try:
        done = subprocess.run(  # noqa: S603
            [found, "get"], input=server, capture_output=True, text=True, timeout=HELPER_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _unusable(f"{name} does not answer ({type(error).__name__})") from None
    if done.returncode != 0:
        if _UNKNOWN in done.stdout:
            return None
        raise _unusable(f"{name} fails with status {done.returncode}")
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except msgspec.DecodeError:
        raise _unusable(f"{name} does not answer as docker's helpers do") from None
    if answer.username == _TOKEN_USER:
        raise _unusable(f"what {name} keeps for {host} is an identity token, which is not read")
    return Credentials(username=answer.username, password=answer.secret)


def _unusable(reason: str) -> InitError:
    return InitError(
        ErrorCode.SETTING_INVALID,
        f"The credentials of the image registry cannot be used: {reason}. Mend that, or give --username and a password.",
    )

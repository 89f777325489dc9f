# SPDX-License-Identifier: Apache-2.0
"""What of a Bento goes into which layer, and what the Bento wants that files alone cannot give.

release   bento.yaml, trust, tuning, README: a few kilobytes that differ from one version to the next
model     the signed bundle: src/model
code      everything else: the same for all models of one Furoshiki, so that their images share it

Commands. BentoML writes into every ``bento.yaml`` the command that prepares its own build (a compiler, git, bash). It is the
one command that is known and not needed: the base image is prepared already and takes only wheels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from artifacts.digest import StreamingDigest
from artifacts.manifest import FileEntry
from artifacts.supply.modelpack import MODEL_LAYER
from core.errors import ErrorCode, InvalidRequest, SignatureError
from registry_api.images.builders.layer import changed_file

MODEL: Final = "src/model/"
CODE: Final = (
    "src/core/",
    "src/artifacts/",
    "src/runners/",
    "src/services/",
    "src/wheels/",
    "src/requirements.txt",
    "env/",
)
DESCRIPTION: Final = "bento.yaml"
_OF_BENTOML: Final = (
    "apt-get update && apt-get install -q -y --no-install-recommends --allow-remove-essential "
    "ca-certificates gnupg2 bash build-essential git"
)
_AT_ONCE: Final = 1 << 20


class _Image(msgspec.Struct, frozen=True):
    commands: list[str] | None = None
    post_commands: list[str] | None = None
    scripts: dict[str, Any] | None = None


class _Docker(msgspec.Struct, frozen=True):
    system_packages: list[str] | None = None
    setup_script: str | None = None
    dockerfile_template: str | None = None


class _Description(msgspec.Struct, frozen=True):
    """What of ``bento.yaml`` is run."""

    image: _Image | None = None
    docker: _Docker | None = None


def layer_of(path: str) -> str:
    """Which layer a file of the Bento goes into."""
    if path.startswith(MODEL):
        return MODEL_LAYER
    return "code" if path.startswith(CODE) else "release"


def commands_of(bento: Path) -> tuple[str, ...]:
    """What the Bento wants done as root while its image is built; empty if files are enough.

    Raises:
        SignatureError: ``SIGN_010`` if ``bento.yaml`` is not a description.
    """
    try:
        found = msgspec.convert(yaml.safe_load((bento / DESCRIPTION).read_bytes()), _Description)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # what msgspec raises is a ValueError
        raise _malformed(str(error)) from None
    return tuple(_commands(found.image or _Image(), found.docker or _Docker()))


def refuse_commands(bento: Path, builder: str) -> None:
    """For builders that run nothing.

    Raises:
        InvalidRequest: ``IMAGE_004`` if the Bento wants something run.
    """
    commands = commands_of(bento)
    if commands:
        raise InvalidRequest(
            ErrorCode.IMAGE_COMMANDS,
            f"The Bento wants {len(commands)} command(s) run as root: {commands[0][:200]!r}. The builder {builder!r} runs "
            "none; choose 'bentoml', or leave the commands out of the Bento.",
            details={"builder": builder, "commands": [command[:200] for command in commands[:10]]},
        )


def place(bento: Path, entry: FileEntry, target: Path) -> None:
    """Copies a file of the Bento to ``target``, for builders that want folders; what is hashed is what is written.

    Raises:
        SignatureError: ``SIGN_004`` if it is not the verified one any more.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = StreamingDigest()
    with (bento / entry.path).open("rb") as source, target.open("xb") as file:
        while chunk := source.read(_AT_ONCE):
            digest.update(chunk)
            file.write(chunk)
    if digest.value != entry.digest:
        raise changed_file(entry.path, digest.value, entry.digest)


def _commands(image: _Image, docker: _Docker) -> list[str]:
    wanted = [*(image.commands or ()), *(image.post_commands or ()), *(image.scripts or ())]
    wanted += [f"{name}: {value}" for name, value in msgspec.structs.asdict(docker).items() if value]
    return [command for command in wanted if command.strip() != _OF_BENTOML]


def _malformed(reason: str) -> SignatureError:
    return SignatureError(ErrorCode.MANIFEST_INVALID, f"{DESCRIPTION} of the Bento cannot be read: {reason[:200]}.")

# SPDX-License-Identifier: Apache-2.0
"""``image:FP32:-1,1,8,8`` on the command line: the tensors of a TorchScript file, which does not know them itself.

They go into ``signature.json`` beside the file, in the order of ``forward``; the registry tries the model against them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
import msgspec

SIGNATURE: Final = "signature.json"
FORM: Final = "NAME:DATATYPE:SHAPE"
_TENSOR: Final = re.compile(r"(?P<name>[^:]+):(?P<datatype>[A-Z][A-Z0-9]+):(?P<shape>(-?[0-9]+(,-?[0-9]+)*)?)")
_SCRIPT: Final = (".pt", ".ts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor as the Open Inference Protocol writes it."""

    name: str
    datatype: str
    shape: tuple[int, ...]  # -1: any size


def parse_tensors(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Reads ``NAME:DATATYPE:SHAPE``; a usage error if one is not."""
    return tuple(_tensor(ctx, param, value) for value in values)


@contextmanager
def declared(source: Path, inputs: tuple[Tensor, ...], results: tuple[Tensor, ...]) -> Iterator[tuple[Path, ...]]:
    """The files to push beside ``source``: a ``signature.json`` of these tensors, if there are any.

    Raises:
        click.UsageError: As :func:`signature_of`.
    """
    content = signature_of(source, inputs, results)
    if content is None:
        yield ()
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / SIGNATURE
        file.write_bytes(content)
        yield (file,)


def signature_of(source: Path, inputs: tuple[Tensor, ...], results: tuple[Tensor, ...]) -> bytes | None:
    """What is to lie beside ``source`` as ``signature.json``; None: nothing.

    Raises:
        click.UsageError: If only one side is given, or neither and the file is TorchScript without them.
    """
    if inputs and results:
        return msgspec.json.encode({"inputs": inputs, "outputs": results})
    if inputs or results or _lacks(source):
        raise click.UsageError(
            f"A TorchScript file does not know the shapes of its tensors. Name those of {source.name!r} in the order of "
            "forward, such as --input image:FP32:-1,1,8,8 --result scores:FP32:-1,10 (-1: any size), put a "
            f"{SIGNATURE!r} into the archive or beside it, or save a torch.export program."
        )
    return None


def _tensor(ctx: click.Context, param: click.Parameter, value: str) -> Tensor:
    found = _TENSOR.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not {FORM}, such as image:FP32:-1,1,8,8.", ctx, param)
    shape = tuple(int(size) for size in found["shape"].split(",") if size)
    return Tensor(name=found["name"], datatype=found["datatype"], shape=shape)


def _lacks(source: Path) -> bool:
    """Whether it is one TorchScript archive without a signature in it; what is no archive is the registry's to refuse."""
    if source.suffix not in _SCRIPT or not zipfile.is_zipfile(source):
        return False
    with zipfile.ZipFile(source) as archive:
        return not any(name.endswith(f"/extra/{SIGNATURE}") for name in archive.namelist())

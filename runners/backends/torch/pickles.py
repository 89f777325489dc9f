# SPDX-License-Identifier: Apache-2.0
"""Which pickles inside a torch archive may be read at all.

PyTorch describes tensors by pickles, and a pickle is a program. Nothing is executed to judge one: its opcodes are listed, and
every name it would import must be one of the few that describe tensors and TorchScript types. Where torch then reads it
without restriction, it can still only make tensors.

Reference: https://docs.python.org/3/library/pickletools.html; names as torch 2.13 writes them (torch/csrc/jit/serialization).
"""

from __future__ import annotations

import pickletools
import re
from typing import Final

from runners.backends.failures import invalid

_NAMES: Final = frozenset(
    (
        *("collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
        *("torch._utils _rebuild_qtensor", "torch device", "torch Size", "torch per_tensor_affine"),
        *("torch per_channel_affine", "torch.storage UntypedStorage", "torch.storage TypedStorage"),
        *("torch.jit._pickle build_intlist", "torch.jit._pickle build_doublelist", "torch.jit._pickle build_boollist"),
        *("torch.jit._pickle build_tensorlist", "torch.jit._pickle build_tensor_from_id"),
        *("torch.jit._pickle restore_type_tag",),
    )
)
_PATTERNS: Final = (
    re.compile(r"torch \w+Storage"),
    re.compile(r"torch (float|double|half|bfloat16|complex|u?int)\d*"),
    re.compile(r"__torch__(\.(?!torch\.classes)\w+)* \w+"),  # classes the archive itself defines; none of the runtime's
)
_QUANTIZED: Final = re.compile(r"__torch__\.torch\.classes\.quantized \w+PackedParamsBase")
_UNNAMED: Final = frozenset({"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"})  # import what cannot be read off


def check_pickle(data: bytes, *, path: str) -> None:
    """Refuses a pickle that would import anything but what describes tensors.

    Args:
        data: The pickle.
        path: Where it lies in the archive, for the message.

    Raises:
        ModelError: ``MODEL_003`` naming what it would import, or if it is malformed.
    """
    try:
        operations = [(operation.name, argument) for operation, argument, _ in pickletools.genops(data)]
    except Exception:
        raise invalid(f"{path!r} in the archive is no pickle that can be checked; nothing was read.") from None
    for name, argument in operations:
        if name in _UNNAMED:
            raise invalid(
                f"{path!r} in the archive imports by opcode {name}, which cannot be checked; nothing was read."
            )
        if name == "GLOBAL" and not _allowed(str(argument)):
            imported = str(argument).replace(" ", ".")[:120]
            raise invalid(
                f"{path!r} in the archive would import {imported!r}; only tensors are read. Nothing was executed."
            )


def _allowed(name: str) -> bool:
    return (
        name in _NAMES
        or any(pattern.fullmatch(name) for pattern in _PATTERNS)
        or _QUANTIZED.fullmatch(name) is not None
    )

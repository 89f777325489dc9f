# SPDX-License-Identifier: Apache-2.0
"""What is looked at of a TFLite file before a runtime gets it: tflite-runtime 2.14 follows the first offsets unchecked.

After the encoding of tables at https://flatbuffers.dev/internals/: an offset to the root table, the file identifier, and in
the table an offset back to the vtable, which begins with its own length and that of the table. What lies deeper is the
runtime's to check; an upload has been read by one that checks all of it.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

from core.errors import ModelError
from runners.backends.failures import invalid

_IDENTIFIER: Final = b"TFL3"
_HEAD_BYTES: Final = 8
_VTABLE_HEAD_BYTES: Final = 4


def check_root(model: bytes) -> None:
    """Checks that the root table and its vtable lie inside the file.

    Raises:
        ModelError: ``MODEL_003`` if not, or if it is no TFLite file.
    """
    size = len(model)
    if size < _HEAD_BYTES or model[4:_HEAD_BYTES] != _IDENTIFIER:
        raise invalid("The file is no TFLite model: its identifier is not 'TFL3'.")
    (root,) = unpack_from("<I", model)
    if root + 4 > size:
        raise _outside("root table")
    vtable = root - unpack_from("<i", model, root)[0]
    if not 0 <= vtable <= size - _VTABLE_HEAD_BYTES:
        raise _outside("vtable")
    length, table = unpack_from("<HH", model, vtable)
    if length < _VTABLE_HEAD_BYTES or vtable + length > size or root + table > size:
        raise _outside("root table")


def _outside(what: str) -> ModelError:
    return invalid(f"The TFLite model is damaged: its {what} is not inside the file.")

# SPDX-License-Identifier: Apache-2.0
"""What the list of a Bento's packages may say: pinned names, and the Bento's own wheels.

pip reads more from such a list: options that change where packages come from and allow to build them (``--index-url``,
``--no-binary``), folders to install by running their code (``-e``), other lists (``-r``), files of this machine
(``file://``), and variables of its environment (``${…}``), which may be secret. None of it is in a list that we made.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, SignatureError
from registry_api.images.builders.wheels import REQUIREMENTS

_HASHES: Final = r" *+(?:(?<= )--hash=sha256:[0-9a-f]{64} *+)*+"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*+(?:\[[A-Za-z0-9._,-]++\])?"
_MARKER: Final = r"(?: *+;[A-Za-z0-9 ._<>=!'\"()]++)?+"
_PIN: Final = re.compile(_NAME + r"==[A-Za-z0-9._+!-]++" + _MARKER + _HASHES)
_OWN: Final = re.compile(r"\./wheels/[A-Za-z0-9][A-Za-z0-9._+-]*\.whl" + _HASHES)
_COMMENT: Final = re.compile(r" *(?:#(?!.*coding)[^\\]*)?")  # a coding that the list names, pip would read it in
_TEXT: Final = re.compile(r"[\n -~]*")


def check_pins(bento: Path) -> None:
    """Checks the list of a Bento's packages before pip sees it.

    Args:
        bento: Its folder.

    Raises:
        SignatureError: ``SIGN_010`` at the first line that is no pin.
    """
    text = (bento / REQUIREMENTS).read_bytes().decode(errors="replace")
    if _TEXT.fullmatch(text) is None:
        raise _no_pin("a character that is none of a list")
    lines = [line for line in text.split("\n") if _COMMENT.fullmatch(line) is None]  # these go on in no other line
    for line in "\n".join(lines).replace("\\\n", " ").split("\n") if lines else ():
        if _PIN.fullmatch(line) is None and _OWN.fullmatch(line) is None:
            raise _no_pin(line)


def _no_pin(line: str) -> SignatureError:
    return SignatureError(
        ErrorCode.MANIFEST_INVALID,
        f"{REQUIREMENTS} of the Bento holds {line[:200]!a}; expected pins such as 'numpy==2.4.6' and its own wheels.",
        details={"path": REQUIREMENTS},
    )

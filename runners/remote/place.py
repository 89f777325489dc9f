# SPDX-License-Identifier: Apache-2.0
"""Where the runner's socket lies, so that every process of one server finds it and no other server does.

BentoML makes a folder of mode 0700 for the sockets of each server it starts, tells every process in ``BENTOML_RUNNER_MAP``
what lies there, and removes it at the end. Our socket lies beside BentoML's own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from core.errors import ErrorCode, InitError

SERVICE: Final = "furoshiki_runner"  # name of the runner's BentoML service
_SOCKET: Final = "furoshiki-runner.sock"
_RUNNER_MAP: Final = "BENTOML_RUNNER_MAP"


def socket_path(folder: Path | None) -> Path:
    """The runner's socket.

    Args:
        folder: The folder the operator chose; None: BentoML's.

    Raises:
        InitError: ``INIT_002`` if there is neither.
    """
    if folder is not None:
        return folder.absolute() / _SOCKET
    try:
        url = urlsplit(json.loads(os.environ[_RUNNER_MAP])[SERVICE])
    except (KeyError, ValueError, TypeError):
        url = urlsplit("")
    if url.scheme != "file":
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "FUROSHIKI_SPLIT__SOCKET_DIR: not set, and BentoML made no folder for sockets (is BENTOML_NO_UDS set?); "
            "expected a folder of this user alone.",
        )
    return Path(unquote(url.path)).with_name(_SOCKET)

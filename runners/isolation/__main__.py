# SPDX-License-Identifier: Apache-2.0
"""``python -m runners.isolation PARENT ORDER FILES CONNECTION REPORT MODEL``: the process of one model.

PARENT is the process that starts it and that it ends with, the next four are descriptors it inherits, see
:mod:`runners.isolation.process`; MODEL is there for whoever lists processes. It loads the model, reports once, and answers
whole batches on the connection until that ends. Nothing in it is worth saving: it leaves at once when the connection ends,
and the kernel kills it when its parent dies. That is arranged before anything else, since importing takes a second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ORPHANED = 4


def main() -> int:
    parent, *descriptors = map(int, sys.argv[1:6])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died first
        return _ORPHANED
    from runners.isolation.child import run

    return run(*descriptors)


if __name__ == "__main__":
    sys.exit(main())

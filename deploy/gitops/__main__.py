# SPDX-License-Identifier: Apache-2.0
"""``python -m deploy.gitops FILE PART=REPOSITORY@sha256:HEX…``: names the images that an environment is to run.

Exit codes: 0 when the file was changed, 3 when it said so already, 2 for a wrong argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.gitops.images import NotAnImage, parse, write

UNCHANGED = 3


def main(arguments: list[str]) -> int:
    """Changes the file."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    file, *named = arguments
    try:
        images = [parse(each) for each in named]
    except NotAnImage as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if write(Path(file), images) else UNCHANGED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

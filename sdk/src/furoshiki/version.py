# SPDX-License-Identifier: Apache-2.0
"""The installed version of this distribution."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

try:
    __version__: Final = version("furoshiki")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+source"  # type: ignore[misc]

# SPDX-License-Identifier: Apache-2.0
"""``python -m furoshiki.cli`` is ``furo``."""

from furoshiki.cli import main

main()

# SPDX-License-Identifier: Apache-2.0
"""Which images an environment runs, as a file in this repository."""

# SPDX-License-Identifier: Apache-2.0
"""Where a version comes from and what became of it."""

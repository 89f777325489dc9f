# SPDX-License-Identifier: Apache-2.0
"""Moves versions between stages and remembers who did it, when and why."""

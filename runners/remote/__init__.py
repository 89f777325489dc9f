# SPDX-License-Identifier: Apache-2.0
"""A runner in a process of its own: how API workers reach it, and what it answers."""

# SPDX-License-Identifier: Apache-2.0
"""A model in a process of its own: what it breaks is its own, and its memory goes back with the process."""

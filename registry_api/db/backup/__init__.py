# SPDX-License-Identifier: Apache-2.0
"""Copies of the whole database, taken while it is in use, and put back."""

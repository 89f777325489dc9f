# SPDX-License-Identifier: Apache-2.0
"""Removes deleted things whose time for being restored is over."""

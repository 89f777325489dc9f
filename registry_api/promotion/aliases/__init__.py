# SPDX-License-Identifier: Apache-2.0
"""Movable names of versions: ``digits@champion``."""

# SPDX-License-Identifier: Apache-2.0
"""Conversions: variants of a version in other formats and precisions, each compared with its source and signed."""

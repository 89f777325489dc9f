# SPDX-License-Identifier: Apache-2.0
"""Signed Bentos: one variant of one version, wrapped with its code, its requirements and its proof."""

# SPDX-License-Identifier: Apache-2.0
"""Tunings: how a variant runs fastest on a device, measured there, signed and kept with the variant."""

# SPDX-License-Identifier: Apache-2.0
"""Accelerators of this machine, each with the reason where it is not there."""

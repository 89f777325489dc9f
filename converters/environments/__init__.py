# SPDX-License-Identifier: Apache-2.0
"""Environments of converters whose pins fit nowhere else."""

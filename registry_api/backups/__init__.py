# SPDX-License-Identifier: Apache-2.0
"""Backups of the registry's database, and what they need of the blob store."""

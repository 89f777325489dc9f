# SPDX-License-Identifier: Apache-2.0
"""Webhooks: what changes in the registry is told to whoever asked to be told."""

# SPDX-License-Identifier: Apache-2.0
"""Deletes versions and models softly, restores them, and purges them when their time is over."""

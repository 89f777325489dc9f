# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry."""

from tests.integration.registry_api.access.world import made_world, world

__all__ = ["made_world", "world"]

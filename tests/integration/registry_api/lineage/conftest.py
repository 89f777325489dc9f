# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry."""

from tests.integration.registry_api.rest import api

__all__ = ["api"]

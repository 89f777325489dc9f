# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry; what they try does not depend on the kind of database."""

import pytest

from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.rest import api

__all__ = ["api"]


@pytest.fixture
def database() -> DatabaseSettings:
    return DatabaseSettings()

# SPDX-License-Identifier: Apache-2.0
"""From a route and the names of things to the request that is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from registry_api.app import PREFIX
from tests.integration.registry_api.access.routes import Route
from tests.integration.registry_api.access.samples import SAMPLES, Sample

_CONVERTER: Final = re.compile(r":\w+\}")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def template(route: Route) -> str:
    """As it stands in the samples: ``GET /models/{model}``."""
    return f"{route.method} {_CONVERTER.sub('}', route.path.removeprefix(PREFIX))}"


def parameters(route: Route) -> list[str]:
    """The names of its path parameters."""
    return _PARAMETER.findall(template(route))


def sample(route: Route) -> Sample:
    """The good request of a route that needs a credential."""
    found = SAMPLES.get(template(route))
    assert found is not None, f"{route} has no sample; add one to tests/integration/registry_api/access/samples.py"
    return found


def path(route: Route, names: Mapping[str, str]) -> str:
    """The path with its parameters filled in."""
    return PREFIX + _PARAMETER.sub(lambda found: names[found[1]], template(route).partition(" ")[2])

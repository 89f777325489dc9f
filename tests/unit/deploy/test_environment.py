# SPDX-License-Identifier: Apache-2.0
"""What deployment files tell the processes is what the processes understand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel

from core.settings import PREFIX, variable_name
from core.settings import Settings as AnySettings
from registry_api.settings.registry import Settings
from registry_api.settings.worker import WorkerSettings
from services.inference.settings import InferenceSettings
from tests.unit.deploy.manifests import Environment, environments

BENTOML = {"BENTOML_DO_NOT_TRACK", "BENTOML_HOME", "BENTOML_HOST", "BENTOML_PORT"}
INFERENCE = re.compile(
    r"kserve|inference|^(dev|edge)/furoshiki-(all|digits)|^production/furoshiki-(digits|minilm|batch)/"
)


def variables(kind: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Patterns of the variables a settings class reads."""
    for name, field in kind.model_fields.items():
        section = field.annotation
        if get_origin(section) is Mapping and issubclass(get_args(section)[1], BaseModel):
            yield from variables(get_args(section)[1], (*above, name, "[a-z0-9]+"))
        elif isinstance(section, type) and issubclass(section, BaseModel):
            yield from variables(section, (*above, name))
        else:
            yield variable_name((*above, name))


READERS: tuple[type[AnySettings], ...] = (InferenceSettings, Settings, WorkerSettings)
KNOWN = {kind: re.compile("|".join(variables(kind))) for kind in READERS}
CASES = list(environments())


def readers(where: str) -> tuple[type[AnySettings], ...]:
    """The settings that a process at this place reads."""
    if where == "Containerfile":
        return READERS
    return (InferenceSettings,) if INFERENCE.search(where) else (Settings, WorkerSettings)


@pytest.mark.parametrize(("where", "environment"), CASES, ids=[where for where, _ in CASES])
def test_every_variable_exists(where: str, environment: Environment) -> None:
    """Each FUROSHIKI_* variable is a setting of the process it is given to, each BENTOML_* one of BentoML's."""
    ours = [name for name in environment if name.startswith(PREFIX)]
    unknown = [name for name in ours if not any(KNOWN[kind].fullmatch(name) for kind in readers(where))]

    assert unknown == []
    assert {name for name in environment if name.startswith("BENTOML_")} <= BENTOML


@pytest.mark.parametrize(("where", "environment"), CASES, ids=[where for where, _ in CASES])
def test_every_value_is_accepted(where: str, environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings classes read each environment; references to secrets aside, which are not there."""
    for name, value in environment.items():
        if name.startswith(PREFIX) and "://" not in value:
            monkeypatch.setenv(name, value)

    for kind in readers(where):
        if "JWT__ISSUERS" not in "".join(environment):
            kind.read()


def test_the_patterns_find_what_is_wrong() -> None:
    """A misspelt variable is not a setting of anybody."""
    assert not KNOWN[Settings].fullmatch("FUROSHIKI_DATABASE__URI")
    assert KNOWN[Settings].fullmatch("FUROSHIKI_DATABASE__URL")
    assert KNOWN[InferenceSettings].fullmatch("FUROSHIKI_JWT__ISSUERS__PLANT__JWKS")

# SPDX-License-Identifier: Apache-2.0
"""Settings: read from the environment, and a wrong one is named with what it holds and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from artifacts.testing import refused
from core.errors import ErrorCode, InitError
from core.settings import Settings, variable_name


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    rows: int = Field(default=1, gt=0)
    api_key: str = Field(default="", max_length=3)
    password: SecretStr = Field(default=SecretStr(""), max_length=3)


class Sample(Settings):
    mode: Literal["a", "b"] = "a"
    section: Section = Section()


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUROSHIKI_HOME", raising=False)


def test_defaults_and_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset means the default; nested values are set one by one; foreign variables are ignored."""
    monkeypatch.setenv("FUROSHIKI_SECTION__ROWS", "7")
    monkeypatch.setenv("FUROSHIKI_SOMEBODY_ELSES", "x")
    settings = Sample.read()
    assert (settings.home, settings.mode, settings.section.rows) == (Path(".furoshiki"), "a", 7)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("FUROSHIKI_MODE", "c", "'a' or 'b'"),
        ("FUROSHIKI_SECTION__ROWS", "many", "valid integer"),
        ("FUROSHIKI_SECTION__ROWS", "0", "greater than 0"),
        ("FUROSHIKI_SECTION__ROW", "1", "not permitted"),
    ],
)
def test_an_error_names_variable_got_and_expected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    """INIT_002 says which variable, what it holds, what it should hold."""
    monkeypatch.setenv(variable, value)
    with refused(ErrorCode.SETTING_INVALID, f"{variable}: got {value!r}; ", expected):
        Sample.read()


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start tells all that is wrong, not the first of it."""
    monkeypatch.setenv("FUROSHIKI_MODE", "c")
    monkeypatch.setenv("FUROSHIKI_SECTION__ROWS", "x")
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_MODE", "FUROSHIKI_SECTION__ROWS"):
        Sample.read()


@pytest.mark.parametrize("variable", ["FUROSHIKI_SECTION__API_KEY", "FUROSHIKI_SECTION__PASSWORD"])
def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A wrong secret is named and not repeated, neither in the message nor in a chained cause."""
    monkeypatch.setenv(variable, "s3cr3t-value")
    with pytest.raises(InitError) as caught:
        Sample.read()
    assert variable in caught.value.message
    assert "s3cr3t" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("value", ["not json", "{", '{"api_key": "s3cr3t"'])
def test_a_section_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A whole section set to something that is not JSON is INIT_002 as well, without repeating it."""
    monkeypatch.setenv("FUROSHIKI_SECTION", value)
    with pytest.raises(InitError) as caught:
        Sample.read()
    assert caught.value.code is ErrorCode.SETTING_INVALID
    assert caught.value.message.startswith("FUROSHIKI_SECTION: got a value that is not JSON")
    assert "s3cr3t" not in caught.value.message


def test_settings_do_not_change() -> None:
    """What was read stays."""
    with pytest.raises(ValueError, match="frozen"):
        Sample.read().mode = "b"


def test_variable_names() -> None:
    """The name follows from the place."""
    assert variable_name(("batching", "max_rows")) == "FUROSHIKI_BATCHING__MAX_ROWS"

# SPDX-License-Identifier: Apache-2.0
"""How a process reads its settings: environment variables with prefix ``FUROSHIKI_``, nested by ``__``.

Each process declares one subclass of :class:`Settings`. A wrong value stops the process with a sentence that names the
variable, what was found and what was expected; values of secret fields are never repeated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from core.errors import ErrorCode, InitError

PREFIX: Final = "FUROSHIKI_"
_SECRET_WORDS: Final = ("key", "secret", "token", "password")


def variable_name(location: tuple[str | int, ...]) -> str:
    """The environment variable of a setting: ``("batching", "max_rows")`` is ``FUROSHIKI_BATCHING__MAX_ROWS``."""
    return PREFIX + "__".join(str(part) for part in location).upper()


class Settings(BaseSettings):
    """Base of every process's settings; holds what all of them share."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True, hide_input_in_errors=False
    )

    home: Path = Path(".furoshiki")  # folder of everything a process keeps

    @classmethod
    def read(cls) -> Self:
        """Reads the settings from the environment.

        Raises:
            InitError: ``INIT_002``, naming each wrong variable, what it holds and what was expected.
        """
        try:
            return cls()
        except ValidationError as error:
            lines = [_explain(e["loc"], e["input"], e["msg"]) for e in error.errors()]
            raise InitError(ErrorCode.SETTING_INVALID, "; ".join(lines)) from None
        except SettingsError as error:
            name = next((variable_name((f,)) for f in cls.model_fields if f'"{f}"' in str(error)), PREFIX + "…")
            line = f"{name}: got a value that is not JSON; set the parts one by one instead: {name}__…"
            raise InitError(ErrorCode.SETTING_INVALID, line) from None


def _explain(location: tuple[str | int, ...], found: object, expected: str) -> str:
    name = variable_name(location)
    secret = isinstance(found, SecretStr) or any(word in name.lower() for word in _SECRET_WORDS)
    shown = "a value that is not shown" if secret else repr(found)
    return f"{name}: got {shown}; {expected}"

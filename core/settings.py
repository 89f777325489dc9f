# SPDX-License-Identifier: Apache-2.0
"""How a process reads its settings: environment variables with prefix ``FUROSHIKI_``, nested by ``__``.

Each process declares one subclass of :class:`Settings`, made of :class:`Section`. A value may be a reference to a secret
(:mod:`core.secrets.interface`); it is resolved first, and then hidden: ``repr`` and dumps of the settings show that there is
one and not what it is. A wrong value stops the process with a sentence that names the variable, what was found and what was
expected; values of secret fields are never repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from core.errors import ErrorCode, InitError
from core.secrets.interface import Revealed
from core.secrets.resolving import Resolver
from core.secrets.settings import VaultSettings

PREFIX: Final = "FUROSHIKI_"
HIDDEN: Final = "**"
_SECRET_WORDS: Final = ("key", "secret", "token", "password")


def variable_name(location: tuple[str | int, ...]) -> str:
    """The environment variable of a setting: ``("batching", "max_rows")`` is ``FUROSHIKI_BATCHING__MAX_ROWS``."""
    return PREFIX + "__".join(str(part) for part in location).upper()


class _Discreet(BaseModel):
    """Remembers which of its values came from a reference, and does not show them."""

    _hidden: frozenset[str] = PrivateAttr(default=frozenset())

    @model_validator(mode="wrap")
    @classmethod
    def _note_references(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(values)
        if isinstance(values, Mapping):
            made._hidden = frozenset(name for name, value in values.items() if _holds_secret(value))
        return made

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, HIDDEN if name in self._hidden else value


class Section(_Discreet):
    """A group of settings; variables of other processes that share its prefix are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Settings(_Discreet, BaseSettings):
    """Base of every process's settings; holds what all of them share."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True, hide_input_in_errors=False
    )

    home: Path = Path(".furoshiki")  # folder of everything a process keeps
    vault: VaultSettings = VaultSettings()

    @classmethod
    def read(cls) -> Self:
        """Reads the settings from the environment.

        Raises:
            InitError: ``INIT_002``, naming each wrong variable, what it holds and what was expected; ``INIT_001`` if a
                secret that a setting refers to cannot be had now.
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Resolved(settings_cls, env_settings)

    @model_serializer(mode="wrap")
    def _without_secrets(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = handler(self)
        _hide(self, shown)
        return shown


class _Resolved(PydanticBaseSettingsSource):
    """The environment, with what its references refer to."""

    def __init__(self, settings_cls: type[BaseSettings], environment: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._environment.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        found = self._environment()
        return Resolver(variable_name, found).resolve(self.settings_cls, found)


def _holds_secret(value: Any) -> bool:
    """Whether a plain setting holds the value of a reference; sections look after their own."""
    return isinstance(value, Revealed) or (isinstance(value, list) and any(map(_holds_secret, value)))


def _hide(model: _Discreet, shown: dict[str, Any]) -> None:
    for name, dumped in shown.items():
        value = getattr(model, name, None)
        if name in model._hidden:
            shown[name] = HIDDEN
        elif isinstance(value, _Discreet):
            _hide(value, dumped)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                if isinstance(item, _Discreet):
                    _hide(item, dumped[key])


def _explain(location: tuple[str | int, ...], found: object, expected: str) -> str:
    name = variable_name(location)
    secret = isinstance(found, SecretStr | Revealed) or any(word in name.lower() for word in _SECRET_WORDS)
    shown = "a value that is not shown" if secret else repr(found)
    return f"{name}: got {shown}; {expected}"

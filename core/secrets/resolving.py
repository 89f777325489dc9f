# SPDX-License-Identifier: Apache-2.0
"""Replaces the references among a process's settings by what they refer to, before anything is validated.

Only settings that the process has are looked at: what stands in the environment for another process is not read. A provider
is opened when the first reference needs it. That of Vault lives above this layer and is named here, so that only its users
import it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from core.errors import ErrorCode, FuroshikiError, InitError, TransientError
from core.secrets.interface import Reference, Revealed, SecretProvider, parse_reference
from core.secrets.local import EnvironmentSecrets, FileSecrets
from core.secrets.settings import VaultSettings

VAULT_MODULE: Final = "artifacts.secrets.vault"  # has ``open_provider(VaultSettings) -> SecretProvider``
SECTION: Final = "vault"


@dataclass(frozen=True, slots=True)
class OwnScheme:
    """Marks a setting whose own values begin with a scheme of references: ``Annotated[str, OwnScheme("file")]``."""

    scheme: str


class Resolver:
    """Resolves the references of one reading of the settings.

    Args:
        name_of: The environment variable of a setting, for messages.
        raw: All settings as they were found; tells how to reach Vault.
    """

    def __init__(self, name_of: Callable[[tuple[str | int, ...]], str], raw: Mapping[str, Any]) -> None:
        self._name_of = name_of
        self._raw = raw
        self._providers: dict[str, SecretProvider] = {"env": EnvironmentSecrets(), "file": FileSecrets()}

    def resolve(self, model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` with every reference replaced.

        Raises:
            InitError: ``INIT_002`` if one names no secret, ``INIT_001`` if the keeper of secrets cannot answer now; both
                name the setting.
        """
        return self._section(model, values, ())

    def _section(
        self, model: type[BaseModel], values: Mapping[str, Any], place: tuple[str | int, ...]
    ) -> dict[str, Any]:
        fields = model.model_fields
        return {
            name: self._value(value, fields[name], (*place, name)) if name in fields else value
            for name, value in values.items()
        }

    def _value(self, value: Any, field: FieldInfo | None, place: tuple[str | int, ...]) -> Any:
        if isinstance(value, Mapping):
            model = None if field is None else _model_of(field.annotation)
            if model is not None:
                return self._section(model, value, place)
            return {key: self._item(item, field, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, None, (*place, index)) for index, item in enumerate(value)]
        reference = parse_reference(value) if isinstance(value, str) else None
        if reference is None or (field is not None and OwnScheme(reference.scheme) in field.metadata):
            return value
        return self._read(reference, place)

    def _item(self, value: Any, field: FieldInfo | None, place: tuple[str | int, ...]) -> Any:
        """A value of a mapping: of a section if the mapping is one of sections."""
        of_values = get_args(field.annotation)[1:] if field is not None else ()
        model = _model_of(of_values[0]) if of_values else None
        if model is not None and isinstance(value, Mapping):
            return self._section(model, value, place)
        return self._value(value, None, place)

    def _read(self, reference: Reference, place: tuple[str | int, ...]) -> Revealed:
        name = self._name_of(place)
        if reference.scheme == "vault" and place[0] == SECTION:
            raise InitError(
                ErrorCode.SETTING_INVALID, f"{name}: got {reference}; how to reach Vault cannot be read from Vault."
            )
        try:
            return self._provider(reference.scheme, name).read(reference)
        except TransientError as error:
            raise InitError(
                ErrorCode.INIT_FAILED, f"{name}: got {reference}; {error.message}", log_context=error.log_context
            ) from None
        except InitError:
            raise
        except FuroshikiError as error:
            raise InitError(ErrorCode.SETTING_INVALID, f"{name}: {error.message}") from None

    def _provider(self, scheme: str, name: str) -> SecretProvider:
        if scheme not in self._providers:
            self._providers[scheme] = self._open_vault(name)
        return self._providers[scheme]

    def _open_vault(self, name: str) -> SecretProvider:
        try:
            settings = VaultSettings(**self._section(VaultSettings, self._raw.get(SECTION, {}), (SECTION,)))
        except ValidationError as error:
            wrong = ", ".join(self._name_of((SECTION, *problem["loc"])) for problem in error.errors())
            raise InitError(ErrorCode.SETTING_INVALID, f"{wrong}: malformed; {name} is a reference to Vault.") from None
        opened: SecretProvider = importlib.import_module(VAULT_MODULE).open_provider(settings)
        return opened


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation stands for, alone or beside None; None if it stands for something else."""
    optional = isinstance(annotation, UnionType) or get_origin(annotation) is Union
    for kind in get_args(annotation) if optional else (annotation,):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None

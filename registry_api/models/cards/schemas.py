# SPDX-License-Identifier: Apache-2.0
"""Model cards as the API speaks of them. The fields follow those of the Hugging Face Hub and of Mitchell et al. (2019)."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Field, JsonValue

from registry_api.http.fields import Incoming, Line, Outgoing, Text, Timestamp
from registry_api.models.cards.values import Card

MAX_BODY: Final = 100_000  # characters

_MOST: Final = 1e15
_BODY: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_LANGUAGE: Final = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"

Lines: TypeAlias = Annotated[list[Line], Field(max_length=50)]
Language: TypeAlias = Annotated[str, Field(pattern=_LANGUAGE, max_length=35, examples=["en"])]

_EXAMPLE: Final[JsonValue] = {
    "fields": {
        "license": "Apache-2.0",
        "intended_use": "Recognising single handwritten digits of 8x8 pixels.",
        "training_data": "1,437 images of the UCI optdigits set.",
        "metrics": [{"name": "accuracy", "value": 0.972, "dataset": "optdigits, held out"}],
        "limitations": "Digits that touch the border of the image.",
        "owners": ["vision@example.org"],
        "languages": ["en"],
    },
    "body": "# digits\n\nTrained once a week.",
}


class Metric(Incoming):
    """One measured number."""

    name: Line
    value: Annotated[float, Field(strict=True, ge=-_MOST, le=_MOST)]
    dataset: Line | None = Field(default=None, description="On what it was measured.")
    unit: Line | None = None


class CardFields(Incoming):
    """The structured part of a card; null or empty: not filled in."""

    license: Line | None = Field(default=None, description="SPDX identifier, or a name.", examples=["Apache-2.0"])
    intended_use: Text | None = Field(default=None, description="What it is for, and for whom.")
    out_of_scope_use: Text | None = Field(default=None, description="What it must not be used for.")
    training_data: Text | None = None
    evaluation_data: Text | None = None
    datasets: Lines = Field(default=[], description="Names or addresses.")
    metrics: Annotated[list[Metric], Field(max_length=100)] = Field(default=[], description="What was measured.")
    limitations: Text | None = None
    ethical_considerations: Text | None = None
    owners: Lines = Field(default=[], description="Who answers for it.")
    contact: Line | None = None
    languages: Annotated[list[Language], Field(max_length=50)] = Field(default=[], description="BCP 47.")
    task: Line | None = Field(default=None, examples=["image-classification"])
    base_model: Line | None = Field(default=None, description="What it was trained from.")
    citation: Text | None = None


class CardIn(Incoming):
    """A whole card; it replaces the one there is."""

    fields: CardFields = CardFields()
    body: Annotated[str, Field(pattern=_BODY, max_length=MAX_BODY, description="Markdown.")] = ""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    def filled(self) -> dict[str, Any]:
        """The fields that are filled in."""
        shown = self.fields.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in shown.items() if value not in ("", [])}


class CardOut(Outgoing):
    """A card."""

    tenant: str
    model: str
    version: int | None = Field(description="Null: it is the model's, and so that of each version without its own.")
    revision: int = Field(description="Grows with each change; 0: nothing was ever said.")
    fields: CardFields
    body: str
    updated_at: Timestamp | None
    updated_by: str | None = Field(description="Name of the API key.")

    @classmethod
    def of(cls, card: Card) -> CardOut:
        """Shows a card."""
        return cls(
            tenant=card.tenant,
            model=card.model,
            version=card.version,
            revision=card.revision,
            fields=CardFields.model_validate(card.fields),
            body=card.body,
            updated_at=card.updated_at,
            updated_by=card.updated_by,
        )

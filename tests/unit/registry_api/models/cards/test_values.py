# SPDX-License-Identifier: Apache-2.0
"""Which fields a card lacks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from registry_api.models.cards.schemas import CardIn
from registry_api.models.cards.values import Card, missing_fields

CARD = Card(tenant="acme", model="digits", version=None, fields={"license": "MIT", "owners": ["a"], "metrics": []})


@pytest.mark.parametrize(
    ("card", "required", "missing"),
    [
        (CARD, ["license", "owners"], []),
        (CARD, ["limitations", "license", "metrics", "body"], ["limitations", "metrics", "body"]),
        (CARD, ["nonsense"], ["nonsense"]),
        (CARD, [], []),
        (None, ["license"], ["license"]),
    ],
)
def test_missing_fields(card: Card | None, required: list[str], missing: list[str]) -> None:
    """Empty is missing, the text is called body, and without a card everything is missing."""
    assert missing_fields(card, required) == missing


def test_only_what_is_filled_in_is_kept() -> None:
    """Null, empty texts and empty lists are the same as nothing."""
    card = CardIn.model_validate({"fields": {"license": "MIT", "limitations": "", "owners": [], "contact": None}})
    assert card.filled() == {"license": "MIT"}


@pytest.mark.parametrize(
    "fields",
    [
        {"licence": "MIT"},
        {"license": ""},
        {"metrics": [{"name": "accuracy"}]},
        {"metrics": [{"name": "accuracy", "value": 1e300}]},
        {"languages": ["English"]},
        {"owners": ["a\nb"]},
        {"intended_use": "x" * 4001},
    ],
)
def test_a_malformed_field_is_refused(fields: dict[str, object]) -> None:
    """Unknown names, empty lines, metrics without a number, numbers out of range, languages by name."""
    with pytest.raises(ValidationError):
        CardIn.model_validate({"fields": fields})


def test_the_digest_is_of_the_content() -> None:
    """Equal content has an equal digest, whoever wrote it and when."""
    same = Card(tenant="other", model="x", version=3, revision=7, fields=dict(CARD.fields))
    assert same.digest() == CARD.digest()
    assert Card(tenant="acme", model="digits", version=None).digest() != CARD.digest()

# SPDX-License-Identifier: Apache-2.0
"""The forms of a version as the API speaks of them."""

from __future__ import annotations

from pydantic import Field

from registry_api.conversions.schemas import ResultOut
from registry_api.conversions.variants.values import Choice, Form, FormState
from registry_api.http.fields import Outgoing
from registry_api.models.schemas import VariantOut


class FormOut(Outgoing):
    """One form of a version."""

    name: str
    state: FormState = Field(description="Only `source` and `accepted` forms can be built, deployed and served.")
    variant: VariantOut | None = Field(description="Null: it was rejected.")
    conversion: str | None = Field(description="Id of the conversion that made it; null: it was uploaded.")
    result: ResultOut | None = Field(description="How it compares with its source; null: it was uploaded.")

    @classmethod
    def of(cls, form: Form) -> FormOut:
        """Shows a form."""
        result = form.result
        return cls(
            name=form.name,
            state=form.state,
            variant=None if form.variant is None else VariantOut.of(form.variant),
            conversion=None if result is None else result.conversion,
            result=None if result is None else ResultOut.of(result),
        )


class FormsOut(Outgoing):
    """Every form of a version."""

    items: list[FormOut]


class ChoiceOut(Outgoing):
    """The form to use, and why."""

    variant: VariantOut
    why: str

    @classmethod
    def of(cls, choice: Choice) -> ChoiceOut:
        """Shows a choice."""
        assert choice.form.variant is not None  # only variants are chosen
        return cls(variant=VariantOut.of(choice.form.variant), why=choice.why)

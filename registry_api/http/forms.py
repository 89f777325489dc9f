# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a body that may have one of several forms.

Pydantic tries every form and tells what each lacks, under the name of its class. A caller meant one of them: that from which
the fewest fields are missing, and which knows most of those that were sent. Only what is wrong with that one helps; where two
are as near, both are told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Problem: TypeAlias = Mapping[str, Any]  # of pydantic's `errors()`

_FORM: Final = re.compile(r"[A-Z]\w*")  # the class of a form; fields are in lower case
_OF_ANOTHER_FORM: Final = frozenset({"missing", "extra_forbidden"})


def of_nearest_form(problems: Sequence[Problem]) -> list[Problem]:
    """The problems without those of forms that were not meant; the class of the only form left is left out too."""
    misfits: dict[str, int] = {}
    for problem in problems:
        if form := _form_of(problem):
            misfits[form] = misfits.get(form, 0) + (problem["type"] in _OF_ANOTHER_FORM)
    fewest = min(misfits.values(), default=0)
    meant = {form for form, count in misfits.items() if count == fewest}
    kept = [problem for problem in problems if _form_of(problem) in meant | {None}]
    return kept if len(meant) != 1 else [_without_form(problem) for problem in kept]


def _form_of(problem: Problem) -> str | None:
    match tuple(problem["loc"]):
        case ("body", str() as form, *_) if _FORM.fullmatch(form):
            return form
    return None


def _without_form(problem: Problem) -> Problem:
    return problem if _form_of(problem) is None else {**problem, "loc": ("body", *problem["loc"][2:])}

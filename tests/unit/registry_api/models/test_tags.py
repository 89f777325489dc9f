# SPDX-License-Identifier: Apache-2.0
"""Tags of models and versions."""

from __future__ import annotations

import pytest

from core.errors import InvalidRequest
from registry_api.models.tags import replaced


def test_the_platforms_tags_stay() -> None:
    """What a caller leaves out goes; the platform's tags are neither removed nor doubled."""
    present = ("team:a", "furoshiki.origin:import")
    assert replaced(present, ("demo",)) == ("demo", "furoshiki.origin:import")
    assert replaced(present, present) == present


@pytest.mark.parametrize(
    ("wanted", "why"),
    [(("team:a", "team:b"), "occurs twice"), (("furoshiki.origin:me",), "reserved"), (("furoshiki.new",), "reserved")],
)
def test_a_tag_that_breaks_a_rule_is_refused(wanted: tuple[str, ...], why: str) -> None:
    """A key twice, or one of the platform's."""
    with pytest.raises(InvalidRequest, match=why):
        replaced(("furoshiki.origin:import",), wanted)

# SPDX-License-Identifier: Apache-2.0
"""Links between pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """A relative link names a file or folder of the repository, and behind # a heading of that page."""
    broken = [link for link in links(page) if not re.match(r"[a-z]+:", link) and not leads(page, link)]
    assert broken == []


def leads(page: Path, link: str) -> bool:
    """Whether there is something at the end of the link."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or target.suffix != ".md" or anchor in headings(target)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings: lower case, without punctuation, spaces as dashes."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}

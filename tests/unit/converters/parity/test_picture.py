# SPDX-License-Identifier: Apache-2.0
"""Pictures of reports."""

from __future__ import annotations

from xml.etree import ElementTree

from converters.parity.picture import picture, scatter
from converters.parity.testing import a_report


def test_a_picture_is_valid_and_the_same_each_time() -> None:
    """Well-formed SVG, equal bytes, one bar per bin."""
    first, second = (picture(a_report()) for _ in range(2))

    root = ElementTree.fromstring(first)
    assert first == second
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 1 + len(a_report().histogram.counts)


def test_text_from_a_report_is_escaped() -> None:
    """A variant's name cannot become markup."""
    name = "onnx-<script>alert(1)</script>\x00&/cpu"

    for drawn in (picture(a_report(name)), scatter([a_report(name)])):
        assert b"<script" not in drawn
        assert ElementTree.fromstring(drawn) is not None


def test_the_scatter_has_one_point_per_variant() -> None:
    """Whatever the order; a single one and none are drawn too."""
    reports = [a_report("a-fp32/cpu", size=1000), a_report("b-int8/cpu", ms=0.5, reasons=("bad",))]

    drawn = scatter(reports)
    assert drawn == scatter(reports[::-1])
    assert drawn.count(b"<circle") == 2
    assert scatter(reports[:1]).count(b"<circle") == 1
    assert ElementTree.fromstring(scatter([])) is not None

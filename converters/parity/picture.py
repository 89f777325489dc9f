# SPDX-License-Identifier: Apache-2.0
"""Reports as pictures: a histogram of one report's errors, and all variants by latency, size and fidelity.

SVG 1.1 written by hand: the same report gives the same bytes, nothing is fetched and no script is in it. All text comes from
reports and is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from converters.parity.report import Report

_WIDTH: Final = 640
_HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 56, 56
_ACCEPTED: Final = "#2a7f62"
_REJECTED: Final = "#b3432b"
_INK: Final = "#222222"
_FAINT: Final = "#cccccc"
_MAX_SHOWN: Final = 40


def picture(report: Report) -> bytes:
    """The histogram of absolute errors by order of magnitude."""
    bins = report.histogram
    labels = [f"1e{edge:.0f}" for edge in bins.edges]
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = width / max(1, len(bins.counts))
    tallest = max((*bins.counts, 1))
    parts = [_title(f"{report.variant} against {report.source}: {report.verdict}", _summary(report))]
    for number, count in enumerate(bins.counts):
        tall = height * count / tallest
        x, y = _LEFT + number * step, _TOP + height - tall
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" fill="{_color(report)}"/>'
        )
        if count:
            parts.append(_text(x + step / 2, y - 4, str(count), size=10, anchor="middle"))
    for number, label in enumerate(labels):
        parts.append(_text(_LEFT + number * step, _TOP + height + 16, label, size=10, anchor="middle"))
    parts += _frame("absolute error", f"values (without error: {bins.zeros})")
    return _document(parts)


def scatter(reports: Sequence[Report]) -> bytes:
    """Variants by latency (across, logarithmic) and size (up, logarithmic); fidelity is the number beside each."""
    shown = [each for each in sorted(reports, key=lambda each: each.variant) if each.latency][:_MAX_SHOWN]
    across = _Axis([each.latency[0].ms for each in shown], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([float(each.bytes) for each in shown], _HEIGHT - _BOTTOM, _TOP)
    parts = [_title(f"{len(shown)} variants", "cosine beside each; red: rejected")]
    for report in shown:
        x, y = across.place(report.latency[0].ms), up.place(float(report.bytes))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{_color(report)}"/>')
        right = x < _WIDTH / 2
        parts.append(
            _text(
                x + (10 if right else -10),
                y + 4,
                f"{report.variant} {report.cosine:.4f}",
                size=11,
                anchor="start" if right else "end",
            )
        )
    parts += [_text(across.place(value), _HEIGHT - _BOTTOM + 16, f"{value:.3g}", size=10) for value in across.ends]
    parts += [_text(_LEFT - 6, up.place(value) + 4, _bytes(value), size=10, anchor="end") for value in up.ends]
    parts += _frame("latency of the smallest batch, ms", "size")
    return _document(parts)


class _Axis:
    """A logarithmic axis that holds all values with a margin."""

    def __init__(self, values: Sequence[float], start: float, stop: float) -> None:
        known = [value for value in values if value > 0] or [1.0]
        low, high = min(known), max(known)
        self._low, self._high = math.log10(low / 1.5), math.log10(high * 1.5)
        self._start, self._stop = start, stop
        self.ends = (low, high) if high > low else (low,)

    def place(self, value: float) -> float:
        """The coordinate of a value."""
        share = (math.log10(max(value, 1e-12)) - self._low) / (self._high - self._low)
        return self._start + min(1.0, max(0.0, share)) * (self._stop - self._start)


def _summary(report: Report) -> str:
    parts = [f"cosine {report.cosine:.6f}", f"max error {report.max_abs:.3g}", f"{report.ratio:.2f} times smaller"]
    if report.top1_agreement is not None:
        parts.insert(1, f"agreement {report.top1_agreement:.3f}")
    return ", ".join(parts)


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def _color(report: Report) -> str:
    return _ACCEPTED if report.accepted else _REJECTED


def _title(title: str, below: str) -> str:
    return _text(_LEFT, 24, title, size=14) + _text(_LEFT, 42, below, size=11)


def _frame(across: str, up: str) -> list[str]:
    bottom, middle = _HEIGHT - _BOTTOM, (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" stroke="{_FAINT}"/>',
        _text(middle, _HEIGHT - 14, across, size=11, anchor="middle"),
        f'<g transform="rotate(-90 16 {_HEIGHT / 2:.0f})">{_text(16, _HEIGHT / 2, up, size=11, anchor="middle")}</g>',
    ]


def _text(x: float, y: float, text: str, *, size: int, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{_INK}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return escape("".join(each for each in text[:200] if each.isprintable()))


def _document(parts: Sequence[str]) -> bytes:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    )
    return ("\n".join([head, *parts, "</svg>"]) + "\n").encode()

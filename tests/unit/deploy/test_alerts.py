# SPDX-License-Identifier: Apache-2.0
"""Alerts and dashboards ask for metrics that the product has, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import core.telemetry.metrics
from core.errors import ErrorCode
from deploy.helm.rendering import CHART
from services.edge.status import http_status

TARGET_LABELS = {"instance", "job", "service", "namespace", "pod", "le"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
EXPRESSION = re.compile(r"furoshiki_[a-z_]+")


def metrics() -> dict[str, set[str]]:
    """Every series the product exports, and its labels."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in vars(core.telemetry.metrics).values():
        if isinstance(metric, MetricWrapperBase):
            suffixes = SUFFIXES.get(str(metric._type), ("",))
            found |= {metric._name + suffix: set(metric._labelnames) for suffix in suffixes}
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    for file in sorted((CHART / "files" / "dashboards").glob("*.json")):
        yield from json.loads(file.read_text())["panels"]


EXPRESSIONS = [
    *((rule["alert"], rule["expr"]) for rule in rules()),
    *((panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]),
]


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Every vector selector below a node of a parsed expression."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None and child is not node:
            yield from selectors(child)
    for child in getattr(node, "args", None) or ():
        yield from selectors(child)


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_it_asks_for_what_exists(name: str, expression: str) -> None:
    """Each expression parses; each metric in it exists; each matcher names a label of that metric."""
    known = metrics()
    found = list(selectors(promql.parse(expression)))

    assert {each.name for each in found} >= set(EXPRESSION.findall(expression))
    for each in found:
        assert each.name is not None
        assert each.name in known
        assert {matcher.name for matcher in each.matchers.matchers} <= known[each.name] | TARGET_LABELS


@pytest.mark.parametrize("rule", rules(), ids=[rule["alert"] for rule in rules()])
def test_an_alert_says_what_and_what_to_do(rule: dict[str, Any]) -> None:
    """Severity, summary and action; its template uses labels that the expression keeps."""
    used = set(re.findall(r"\$labels\.([a-z_]+)", "".join(rule["annotations"].values())))
    kept = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"])))) or TARGET_LABELS

    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert used <= kept


def test_the_alert_on_errors_counts_ours_only() -> None:
    """Codes that the alert counts are faults of ours, and every fault of ours that a caller sees is counted or is a job's."""
    rule = next(each for each in rules() if each["alert"] == "FuroshikiInferenceErrors")
    pattern = re.search(r'code=~"([^"]+)"', rule["expr"])
    assert pattern
    counted = {code for code in ErrorCode if re.fullmatch(pattern[1], code)}

    assert {code for code in counted if http_status(code) < 500} == set()
    assert {"INFER_001", "INTERNAL_001", "MODEL_002", "SIGN_002", "DEVICE_001", "STORE_001"} <= counted

# SPDX-License-Identifier: Apache-2.0
"""Applying again what is owned changes nothing, whatever others wrote in between."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_api.deployments.kubernetes.fields import differences, owned
from registry_api.deployments.kubernetes.testing import Objects

VALUES = st.one_of(st.integers(0, 9), st.text("ab", max_size=3), st.lists(st.integers(0, 9), max_size=3))
WORDS = st.text("abc", min_size=1, max_size=2)
MAPS = st.dictionaries(WORDS, st.one_of(VALUES, st.dictionaries(WORDS, VALUES, max_size=3)), max_size=4)
ENV = st.dictionaries(WORDS, VALUES, max_size=3).map(lambda each: [{"name": k, "value": v} for k, v in each.items()])
SPECS = st.fixed_dictionaries({"free": MAPS, "env": ENV})


def body(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ml"}, "spec": spec}


@given(SPECS, SPECS, MAPS)
def test_an_update_can_be_undone(before: dict[str, Any], after: dict[str, Any], theirs: dict[str, Any]) -> None:
    """apply(A); others add fields; kept = owned; apply(B); apply(kept) leads back to where it was."""
    objects = Objects()
    objects.apply("configmaps", body(before), manager="us", force=False, dry=False)
    objects.edit("configmaps", "a", manager="them", change=lambda each: each.update(theirs=theirs or {"x": 1}))
    was = copy.deepcopy(objects.get("configmaps", "a"))
    assert was is not None
    kept = owned(was, "us")
    assert kept is not None
    objects.apply("configmaps", body(after), manager="us", force=False, dry=False)
    objects.apply("configmaps", dict(kept), manager="us", force=False, dry=False)
    found = objects.get("configmaps", "a")

    assert found is not None
    assert differences(found, was) == []

# SPDX-License-Identifier: Apache-2.0
"""Names of Bentos: readable, legal for BentoML, never shared."""

from __future__ import annotations

import pytest
from bentoml import Tag
from hypothesis import given
from hypothesis import strategies as st

from core.refs import NAME_PATTERN
from registry_api.builds.values import BuildState, bento_name, bento_version, state_of
from registry_api.jobs.states import JobState

NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: ".." not in name)
DOTTED = st.text("ab.", min_size=1, max_size=6).filter(lambda name: ".." not in name and name[0] != ".")


@pytest.mark.parametrize(
    ("tenant", "model", "expected"),
    [("acme", "digits", "acme.digits"), ("acme", "mlp.v2", "acme.mlp.v2"), ("acme.eu", "digits", "acme..eu.digits")],
)
def test_a_bento_is_named_after_tenant_and_model(tenant: str, model: str, expected: str) -> None:
    """The name reads tenant, dot, model."""
    assert bento_name(tenant, model) == expected


def test_a_bento_version_names_version_and_variant() -> None:
    """The version reads v3-onnx-fp32-cpu."""
    assert bento_version(3, "onnx-fp32/cpu") == "v3-onnx-fp32-cpu"


@given(NAMES, NAMES, st.integers(1, 9_999_999_999))
def test_bentoml_accepts_every_name(tenant: str, model: str, version: int) -> None:
    """Whatever the names, BentoML takes the tag as it is."""
    tag = f"{bento_name(tenant, model)}:{bento_version(version, 'onnx-fp32/cpu')}"
    assert str(Tag.from_str(tag)) == tag


@given(DOTTED, DOTTED, DOTTED, DOTTED)
def test_two_models_never_share_a_name(tenant: str, model: str, other_tenant: str, other_model: str) -> None:
    """Two models never share one."""
    same = (tenant, model) == (other_tenant, other_model)
    assert (bento_name(tenant, model) == bento_name(other_tenant, other_model)) == same


@pytest.mark.parametrize("state", JobState)
def test_a_build_is_where_its_job_is(state: JobState) -> None:
    """Each job state has one build state; cancelled counts as failed."""
    assert state_of(state) == (BuildState.FAILED if state is JobState.CANCELLED else state.value)

# SPDX-License-Identifier: Apache-2.0
"""How jobs name what they make."""

from __future__ import annotations

from core.errors import ErrorCode
from registry_api.jobs.interface import JobKind
from registry_api.jobs.testing import a_job
from registry_api.products.kind import ProductKind

BUILD = ProductKind(name="build", job=JobKind.BUILD, unknown=ErrorCode.BUILD_NOT_FOUND)


def test_a_job_names_what_it_makes() -> None:
    """Each new job chooses another id, which is read back from the job."""
    one, other = BUILD.new_job("acme"), BUILD.new_job("acme")
    assert (one.tenant, one.kind) == ("acme", JobKind.BUILD)
    assert one.spec != other.spec
    assert BUILD.id_in(a_job(spec=one.spec)) == one.spec["build"]


def test_what_is_not_there_is_said_in_the_words_of_its_kind() -> None:
    """The kind's own code, and no more of a long id than helps."""
    error = BUILD.missing("x" * 100)
    assert error.code is ErrorCode.BUILD_NOT_FOUND
    assert error.message == f"There is no build '{'x' * 64}'."
    assert error.details == {"build": "x" * 64}


def test_what_is_not_finished_says_when_it_will_be() -> None:
    """A conflict that names the product, where it is and what success brings."""
    error = BUILD.unfinished("b1", "running", "its Bento exists once it has succeeded")
    assert error.code is ErrorCode.STATE_CONFLICT
    assert error.message == "Build 'b1' is running; its Bento exists once it has succeeded."
    assert error.details == {"build": "b1", "state": "running"}

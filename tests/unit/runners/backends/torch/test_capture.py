# SPDX-License-Identifier: Apache-2.0
"""When CUDA graphs are captured."""

from __future__ import annotations

from runners.backends.torch.capture import FAILURES, Captures, Step


def test_a_shape_that_comes_again_is_captured_then_replayed() -> None:
    """The first runs warm up."""
    captures = Captures(after=2)
    assert [captures.next("a") for _ in range(3)] == [Step.EAGER, Step.EAGER, Step.CAPTURE]
    captures.captured("a")
    assert captures.next("a") is Step.REPLAY
    assert captures.next("b") is Step.EAGER


def test_a_shape_that_cannot_be_captured_is_not_tried_again() -> None:
    """It runs without a graph."""
    captures = Captures(after=0)
    assert captures.next("a") is Step.CAPTURE
    captures.failed("a")
    assert {captures.next("a") for _ in range(5)} == {Step.EAGER}


def test_a_model_that_cannot_be_captured_is_left_alone() -> None:
    """After a few shapes that failed no other is tried; what was captured is replayed."""
    captures = Captures(after=0)
    assert captures.next("good") is Step.CAPTURE
    captures.captured("good")
    for shapes in range(FAILURES):
        assert captures.next(shapes) is Step.CAPTURE
        captures.failed(shapes)
    assert captures.next("another") is Step.EAGER
    assert captures.next("good") is Step.REPLAY


def test_memory_is_kept_for_a_few_shapes_only() -> None:
    """Beyond the bound nothing more is captured; what was captured is replayed."""
    captures = Captures(after=0, most=2)
    for shapes in "ab":
        assert captures.next(shapes) is Step.CAPTURE
        captures.captured(shapes)
    assert captures.next("c") is Step.EAGER
    assert captures.next("a") is Step.REPLAY


def test_counting_forgets_before_it_grows() -> None:
    """Shapes that never come again cost no memory for ever."""
    captures = Captures(after=5)
    for number in range(5000):
        captures.next(number)
    assert len(captures._runs) <= 1024

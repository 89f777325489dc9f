# SPDX-License-Identifier: Apache-2.0
"""When a request is repeated: only what may help, only what is safe, never without end."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from furoshiki import AuthError, ConnectionFailed, FuroshikiError, Overloaded, Retry, Unavailable
from furoshiki.retry import RetryBudget, attempts
from furoshiki.steps import Pause, Reply, Request
from furoshiki.testing import FakeService, ManualClock

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients

GET = Request(method="GET", path="/x")
POST = Request(method="POST", path="/x", repeatable=False)
OK = Reply(status=200, headers={}, body=b"{}", request_id="r")
CUT = ConnectionFailed("cut", request_id="r", sent=True)
REFUSED = ConnectionFailed("refused", request_id="r", sent=False)


def reply(status: int, **headers: str) -> Reply:
    return Reply(status=status, headers=headers, body=b"", request_id="r")


def drive(
    request: Request,
    outcomes: list[Reply | ConnectionFailed],
    *,
    policy: Retry | None = None,
    budget: RetryBudget | None = None,
) -> tuple[Reply | FuroshikiError, list[float]]:
    """Plays ``outcomes`` to the retry rules; returns what came out and the waits between."""
    clock = ManualClock()
    steps = attempts(request, policy or Retry(), clock=clock, budget=budget or RetryBudget(), rng=random.Random(1))
    pending = list(outcomes)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                clock.sleep(step.seconds)
                step = steps.send(None)
                continue
            outcome = pending.pop(0)
            step = steps.throw(outcome) if isinstance(outcome, ConnectionFailed) else steps.send(outcome)
    except StopIteration as stop:
        return stop.value, clock.sleeps
    except FuroshikiError as error:
        return error, clock.sleeps


@pytest.mark.parametrize("failure", [reply(429), reply(502), reply(503), reply(504), CUT, REFUSED])
def test_retryable_failure_of_a_repeatable_request_is_retried(failure: Reply | ConnectionFailed) -> None:
    """A repeatable request is sent again after a failure that may pass."""
    assert drive(GET, [failure, failure, OK])[0] is OK


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_other_failures_are_not_retried(status: int) -> None:
    """What the same request cannot mend is reported at once."""
    error, sleeps = drive(GET, [reply(status), OK])
    assert isinstance(error, FuroshikiError)
    assert (error.status, error.retryable, sleeps) == (status, False, [])


@pytest.mark.parametrize("failure", [CUT, reply(502), reply(503), reply(504)])
def test_unrepeatable_request_is_not_sent_twice(failure: Reply | ConnectionFailed) -> None:
    """A request that may have been acted on is not sent again, even if the failure is retryable."""
    error, sleeps = drive(POST, [failure, OK])
    assert isinstance(error, FuroshikiError)
    assert (error.retryable, sleeps) == (True, [])


@pytest.mark.parametrize("failure", [REFUSED, reply(429)])
def test_unrepeatable_request_that_was_never_seen_is_retried(failure: Reply | ConnectionFailed) -> None:
    """A request that cannot have been acted on is sent again, repeatable or not."""
    assert drive(POST, [failure, OK])[0] is OK


def test_attempts_are_limited() -> None:
    """The last failure is reported after the configured number of attempts."""
    error, sleeps = drive(GET, [reply(503)] * 9, policy=Retry(attempts=3))
    assert isinstance(error, Unavailable)
    assert len(sleeps) == 2


def test_waits_grow_with_full_jitter() -> None:
    """Each wait lies between nothing and an exponentially growing bound, up to the cap."""
    policy = Retry(base=1.0, cap=4.0)
    for attempt, bound in enumerate([1.0, 2.0, 4.0, 4.0], start=1):
        waits = [policy.wait(attempt, None, random.Random(seed)) for seed in range(200)]
        assert 0 <= min(waits) < 0.1 * bound
        assert 0.9 * bound < max(waits) <= bound


def test_retry_after_is_the_least_waited() -> None:
    """The server's ``Retry-After`` is honoured, with jitter on top so that callers do not return together."""
    _, sleeps = drive(GET, [reply(503, **{"retry-after": "7"}), OK])
    assert 7.0 <= sleeps[0] <= 7.2


def test_retry_after_may_be_a_date() -> None:
    """A ``Retry-After`` written as an HTTP date is the time until then."""
    assert ManualClock().now() == datetime(2026, 1, 1, tzinfo=UTC)
    _, sleeps = drive(GET, [reply(503, **{"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"}), OK])
    assert 9.0 <= sleeps[0] <= 9.2


@pytest.mark.parametrize("text", ["soon", "", "nan-ish", "1 2"])
def test_unreadable_retry_after_is_ignored(text: str) -> None:
    """A ``Retry-After`` nobody can read is as good as none."""
    result, sleeps = drive(GET, [reply(503, **{"retry-after": text}), OK])
    assert result is OK
    assert sleeps[0] <= 0.2


def test_deadline_ends_the_attempts_without_waiting() -> None:
    """A wait that would pass the deadline is not begun: the failure is reported at once."""
    error, sleeps = drive(GET, [reply(503, **{"retry-after": "61"}), OK], policy=Retry(deadline=60.0))
    assert isinstance(error, Unavailable)
    assert (error.retry_after, sleeps) == (61.0, [])


def test_budget_is_shared_and_refilled_by_success() -> None:
    """Retries of all calls come from one budget, which successes refill slowly."""
    budget = RetryBudget(size=2.0, refill=0.5)
    assert isinstance(drive(GET, [reply(503)] * 9, policy=Retry(attempts=9), budget=budget)[0], Unavailable)
    assert drive(GET, [reply(503), OK], budget=budget)[0] is not OK
    for _ in range(2):
        assert drive(GET, [OK], budget=budget)[0] is OK
    assert drive(GET, [reply(503), OK], budget=budget)[0] is OK


def test_clients_retry_on_their_clock(either: Either, service: FakeService) -> None:
    """Both clients wait on the clock they were given, and send the same request id on every attempt."""
    service.fail_next(503, "STORE_001", retry_after=3, times=2)
    assert either(lambda client: client.whoami()).tenant == "acme"
    assert len(service.clock.sleeps) == 2
    assert len({call.headers["x-request-id"] for call in service.calls}) == 1


def test_clients_survive_a_cut(either: Either, service: FakeService) -> None:
    """A connection that breaks under a read is tried again."""
    service.cut_next(times=2)
    assert either(lambda client: client.whoami()).tenant == "acme"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "AUTH_002", AuthError), (429, "QUOTA_001", Overloaded)],
)
def test_error_of_the_last_attempt_is_raised(
    either: Either, service: FakeService, status: int, code: str, kind: type[FuroshikiError]
) -> None:
    """What is raised carries code, status and request id of the last reply."""
    service.fail_next(status, code, times=5)
    call: Callable[..., object] = lambda client: client.whoami()  # noqa: E731
    with pytest.raises(kind) as caught:
        either(call)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.request_id

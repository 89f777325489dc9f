# SPDX-License-Identifier: Apache-2.0
"""Jobs, builds, deployments, keys, tenants, logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, Conflict, DeadlineExceeded, InvalidRequest, Job, JobFailed, NotFound, TenantLimits
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


@pytest.fixture(autouse=True)
def pushed(client: Client, model_file: Path) -> None:
    client.models.push("digits", model_file)


def test_build_is_waited_for_with_progress(either: Either, service: FakeService) -> None:
    """Waiting tells every step and ends with the finished build; the waits grow and use the client's clock."""
    told: list[Job] = []
    build = either(lambda client: client.builds.create("digits", version=1))
    assert build.state == "queued"
    done = either(lambda client: client.builds.wait(build.id, progress=told.append))
    assert (done.state, done.tag) == ("succeeded", "acme.digits:v1-onnx-fp32-cpu")
    assert [job.state for job in told] == ["queued", "running", "succeeded"]
    assert service.clock.sleeps == sorted(service.clock.sleeps)
    assert either(lambda client: client.builds.wait(build.id)) == done


def test_tuning_is_waited_for_and_its_document_found(either: Either) -> None:
    """Until it has succeeded there is neither choice nor document; then there are, and it is in the list."""
    tuning = either(lambda client: client.tunings.create("digits", version=1))
    assert (tuning.state, tuning.chosen, tuning.measurements) == ("queued", None, ())
    with pytest.raises(NotFound, match="TUNING_001"):
        either(lambda client: client.tunings.document("digits", 1))
    done = either(lambda client: client.tunings.wait(tuning.id))
    assert (done.state, done.chosen.instances, done.device.cores) == ("succeeded", 2, 2)
    assert done.measurements[0].rows == done.chosen.max_rows
    assert either(lambda client: client.tunings.document("digits", 1, device=done.device.fingerprint))
    assert either(lambda client: client.tunings.wait(tuning.id)) == done
    with pytest.raises(NotFound, match="TUNING_001"):
        either(lambda client: client.tunings.get("tuning-9"))


def test_failed_job_says_why(either: Either, service: FakeService) -> None:
    """A job that failed raises its own code and names the job, so that its log can be read."""
    service.operations.fail_jobs = True
    build = either(lambda client: client.builds.create("digits"))
    with pytest.raises(JobFailed, match=r"JOB_002.*job-1 \(build\) failed: As told") as caught:
        either(lambda client: client.builds.wait(build.id))
    assert caught.value.details == {"job_id": "job-1"}


def test_cancelled_job_is_a_failure_too(either: Either) -> None:
    """Who waits for a job that somebody cancels is told."""
    job_id = either(lambda client: client.builds.create("digits")).job_id
    assert either(lambda client: client.jobs.cancel(job_id)).state == "cancelled"
    with pytest.raises(JobFailed, match="JOB_005"):
        either(lambda client: client.jobs.wait(job_id))


def test_waiting_has_a_limit(either: Either, service: FakeService) -> None:
    """A wait that exceeds its timeout ends; the job goes on."""
    job_id = either(lambda client: client.builds.create("digits")).job_id
    with pytest.raises(DeadlineExceeded, match=r"TIMEOUT_001.*still queued after 0.1 s"):
        either(lambda client: client.jobs.wait(job_id, timeout=0.1))
    assert either(lambda client: client.jobs.wait(job_id)).state == "succeeded"


def test_jobs_are_listed_by_state_and_kind(either: Either, client: Client) -> None:
    """A list of jobs can be narrowed to a state or kind."""
    first, second = client.builds.create("digits"), client.builds.create("digits")
    client.builds.wait(first.id)
    assert [job.id for job in either(lambda one: one.jobs.list())] == ["job-2", "job-1"]
    assert [job.id for job in either(lambda one: one.jobs.list(state="succeeded", kind="build"))] == ["job-1"]
    assert [build.id for build in either(lambda one: one.builds.list())] == [second.id, first.id]


def test_deployment_lives_and_stops(either: Either, client: Client, service: FakeService) -> None:
    """A deployment of a finished build starts, answers somewhere, and stops."""
    service.operations.deployment_url = "http://127.0.0.1:4000"
    build = client.builds.wait(client.builds.create("digits").id)
    made = either(lambda one: one.deployments.create("prod", build_id=build.id))
    assert (made.state, made.url) == ("pending", None)
    running = either(lambda one: one.deployments.wait("prod"))
    assert (running.state, running.url) == ("running", "http://127.0.0.1:4000")
    either(lambda one: one.deployments.stop("prod"))
    assert either(lambda one: one.deployments.wait("prod")).state == "stopped"
    assert [one.name for one in either(lambda one: one.deployments.list())] == ["prod"]


def test_deployment_changes_and_goes_back(either: Either, client: Client, service: FakeService) -> None:
    """Scaling makes no revision; an update does, and so does a rollback; both are in the history."""
    build = client.builds.wait(client.builds.create("digits").id)
    client.deployments.create("prod", build_id=build.id)
    client.deployments.wait("prod")
    either(lambda one: one.deployments.update("prod", replicas=2))
    scaled = either(lambda one: one.deployments.wait("prod"))
    assert (scaled.revision, scaled.ready, len(scaled.instances)) == (1, "2/2", 2)
    service.operations.fail_jobs = True
    client.deployments.update("prod", auth="open")
    with pytest.raises(JobFailed, match="As told"):
        either(lambda one: one.deployments.wait("prod"))
    kept = client.deployments.get("prod")
    assert (kept.state, kept.revision, kept.serving_revision) == ("running", 2, 1)
    service.operations.fail_jobs = False
    client.deployments.rollback("prod", revision=1, reason="slow")
    assert either(lambda one: one.deployments.wait("prod")).auth == "api_key"
    history = either(lambda one: one.deployments.revisions("prod"))
    assert next((each.revision, each.auth, each.reason) for each in history) == (3, "api_key", "slow")
    assert next(each.kind for each in either(lambda one: one.deployments.events("prod"))) == "rolled_back"


def test_two_who_change_one_deployment_notice(either: Either, client: Client) -> None:
    """With the ETag of what was seen, the second change is refused; with the one the first change gave, it is not."""
    build = client.builds.wait(client.builds.create("digits").id)
    client.deployments.create("prod", build_id=build.id)
    client.deployments.wait("prod")
    seen = client.deployments.get("prod")
    assert seen.etag is not None
    changed = client.deployments.update("prod", auth="open", etag=seen.etag)
    assert changed.etag not in (None, seen.etag)
    for late in (
        lambda one: one.deployments.update("prod", replicas=2, etag=seen.etag),
        lambda one: one.deployments.rollback("prod", etag=seen.etag),
    ):
        with pytest.raises(Conflict, match="STATE_003"):
            either(late)
    settled = client.deployments.wait("prod")
    assert client.deployments.rollback("prod", etag=settled.etag).auth == "api_key"


def test_an_instances_log_is_read_by_its_name(either: Either, client: Client) -> None:
    """The names are in the deployment; a name of none is refused; following ends with an instance that is gone."""
    build = client.builds.wait(client.builds.create("digits").id)
    client.deployments.create("prod", build_id=build.id)
    (run,) = client.deployments.wait("prod").runs
    assert [chunk.text for chunk in either(lambda one: one.deployments.logs("prod", instance=run))] == [
        "serving\nready\n"
    ]
    with pytest.raises(NotFound, match="DEPLOY_001"):
        either(lambda one: one.deployments.logs("prod", instance="nobody"))
    client.deployments.stop("prod")
    client.deployments.wait("prod")
    assert len(either(lambda one: one.deployments.follow("prod", instance=run))) == 1


def test_an_image_is_deployed_with_limits(client: Client) -> None:
    """An image runs by podman, with the limits that were asked for."""
    build = client.builds.wait(client.builds.create("digits").id)
    image = client.images.create(build.id)
    client.images.wait(image.id)
    made = client.deployments.create("prod", image_id=image.id, cpus=0.5, memory_bytes=1 << 30)
    assert (made.target, made.image_id, made.build_id) == ("podman", image.id, build.id)
    assert (made.limits.cpus, made.limits.memory_bytes) == (0.5, 1 << 30)


def test_an_image_is_deployed_in_a_cluster(client: Client) -> None:
    """Its pods are counted as the registry last knew them."""
    build = client.builds.wait(client.builds.create("digits").id)
    image = client.images.create(build.id)
    client.images.wait(image.id)
    made = client.deployments.create("prod", image_id=image.id, target="kubernetes", replicas=3)
    assert (made.target, made.instances, made.ready) == ("kubernetes", (), "0/3")
    running = client.deployments.wait("prod")
    assert (running.state, running.ready) == ("running", "3/3")
    assert replace(running, drift=("it is not as wanted",)).ready == "?/3"


def test_unfinished_build_is_not_deployed(either: Either, client: Client) -> None:
    """Only a build that succeeded can be deployed."""
    build = client.builds.create("digits")
    with pytest.raises(Conflict, match="STATE_001"):
        either(lambda one: one.deployments.create("prod", build_id=build.id))


def test_failed_deployment_says_why(either: Either, client: Client, service: FakeService) -> None:
    """Waiting for a deployment that fails raises its error."""
    build = client.builds.wait(client.builds.create("digits").id)
    service.operations.fail_jobs = True
    client.deployments.create("prod", build_id=build.id)
    with pytest.raises(JobFailed, match="As told"):
        either(lambda one: one.deployments.wait("prod"))


def test_logs_are_read_from_any_offset(either: Either, client: Client) -> None:
    """A log is read in pieces that say where they are."""
    job_id = client.builds.create("digits").job_id
    assert [chunk.text for chunk in either(lambda one: one.jobs.log(job_id))] == ["one\ntwo\n"]
    (rest,) = either(lambda one: one.jobs.log(job_id, offset=4))
    assert (rest.text, rest.offset, rest.next_offset) == ("two\n", 4, 8)


def test_followed_log_ends_with_its_writer(either: Either, client: Client, service: FakeService) -> None:
    """Following gives every piece once and ends when the writer has ended."""
    job_id = client.builds.create("digits").job_id
    assert [chunk.text for chunk in either(lambda one: one.jobs.follow(job_id))] == ["one\ntwo\n"]
    assert client.jobs.get(job_id).ended
    build = client.builds.wait("build-1")
    client.deployments.create("prod", build_id=build.id)
    client.deployments.stop("prod")
    client.deployments.wait("prod")
    assert [chunk.text for chunk in either(lambda one: one.deployments.follow("prod"))] == ["serving\nready\n"]
    assert [chunk.text for chunk in either(lambda one: one.deployments.logs("prod"))] == ["serving\nready\n"]


def test_log_pieces_never_split_a_character(client: Client, service: FakeService) -> None:
    """A character whose last bytes are not written yet is left for the next piece."""
    job_id = client.builds.create("digits").job_id

    class Growing(FakeService):
        pieces = ["grü".encode()[:-1], "ü!".encode()]  # noqa: RUF012 - consumed

        def answer(self, call: Any) -> Any:
            from furoshiki.testing.exchange import Answer

            return Answer(body=self.pieces.pop(0) if self.pieces else b"")

    with Client(transport=Growing()) as growing:
        chunks = list(growing.jobs.log(str(job_id)))
    assert [(chunk.text, chunk.offset) for chunk in chunks] == [("gr", 0), ("ü!", 2)]


def test_key_is_shown_once_and_never_in_a_repr(either: Either) -> None:
    """The secret is in the answer to the creation, not in its repr and not in any list."""
    made = either(
        lambda client: client.keys.create("ci", roles=["developer"], expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    )
    assert made.key.startswith("furo_")
    assert made.key not in repr(made)
    (listed,) = either(lambda client: client.keys.list())
    assert (listed.name, listed.roles, hasattr(listed, "key")) == ("ci", ("developer",), False)
    either(lambda client: client.keys.revoke(made.id))
    assert either(lambda client: client.keys.list(tenant="acme")) == []
    with pytest.raises(NotFound, match="KEY_001"):
        either(lambda client: client.keys.revoke(made.id))


def test_limits_and_features_of_a_tenant(either: Either) -> None:
    """Nothing is set at first; each call replaces what was, and says what is."""
    assert either(lambda client: client.tenants.create("globex")).limits == TenantLimits()
    limits = TenantLimits(requests_per_second=2.5, concurrent_requests=4)
    assert either(lambda client: client.tenants.set_limits("globex", limits)).limits == limits
    assert either(lambda client: client.tenants.set_features("globex", {"v2.binary": False})).features == {
        "v2.binary": False
    }
    assert either(lambda client: client.tenants.set_limits("globex", TenantLimits(burst=1))).limits == TenantLimits(
        burst=1
    )
    assert either(lambda client: client.tenants.get("globex")).features == {"v2.binary": False}
    with pytest.raises(NotFound):
        either(lambda client: client.tenants.set_limits("nobody", limits))


def test_tenants_are_made_once(either: Either) -> None:
    """A tenant's name is unique."""
    assert either(lambda client: client.tenants.create("globex", display_name="Globex")).display_name == "Globex"
    assert either(lambda client: client.tenants.get("globex")).name == "globex"
    assert [tenant.name for tenant in either(lambda client: client.tenants.list())] == ["globex"]
    with pytest.raises(Conflict, match="STATE_002"):
        either(lambda client: client.tenants.create("globex"))


def test_names_cannot_leave_their_route(either: Either, service: FakeService) -> None:
    """A name that would lead to another route is refused before anything is sent."""
    service.calls.clear()
    with pytest.raises(InvalidRequest, match="VALID_002"):
        either(lambda client: client.deployments.get(".."))
    assert service.calls == []

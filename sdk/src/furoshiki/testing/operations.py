# SPDX-License-Identifier: Apache-2.0
"""The fake's jobs, builds, images, deployments, keys, tenants and more. Each look moves a job one state further."""

from __future__ import annotations

from typing import Any, Final

from furoshiki.testing.conversions import FakeConversions
from furoshiki.testing.deployments import FakeDeployments
from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page
from furoshiki.testing.images import FakeImages
from furoshiki.testing.registry import FakeRegistry
from furoshiki.testing.tunings import FakeTunings

LIFE = (("queued", 0.0, None), ("running", 0.5, "at work"), ("succeeded", 1.0, "done"))
NO_LIMITS: Final[dict[str, Any]] = {
    "requests_per_second": None,
    "burst": None,
    "concurrent_requests": None,
    "requests_per_hour": None,
    "requests_per_day": None,
}
NOTHING_SET: Final[dict[str, Any]] = {"limits": NO_LIMITS, "features": {}}


class FakeOperations:
    """What takes time in the real thing. ``fail_jobs`` lets the jobs that start from now on fail."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.fail_jobs = False
        self.deployment_url: str | None = None  # what a running deployment says it answers at
        self._registry = registry
        self._jobs: dict[str, dict[str, Any]] = {}
        self._tunings = FakeTunings(registry, self._start, self._jobs)
        self._conversions = FakeConversions(registry, self._start, self._jobs)
        self._builds: dict[str, dict[str, Any]] = {}
        self.images = FakeImages(self._start, self._jobs, self._builds)
        self._deployments = FakeDeployments(
            self._start, self._jobs, built=self._built, url=lambda: self.deployment_url, now=registry.now
        )
        self._keys: dict[str, dict[str, Any]] = {}
        self._tenants: dict[str, dict[str, Any]] = {}

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.segments[2:]:
            case ("jobs", *rest):
                return self._job_route(call, rest)
            case ("builds", *rest):
                return self._build_route(call, rest)
            case ("keys", *rest):
                return self._key_route(call, rest)
            case ("tenants", *rest):
                return self._tenant_route(call, rest)
        others = (self._conversions, self._tunings, self.images, self._deployments)
        return next((answer for other in others if (answer := other.handle(call)) is not None), None)

    def _job_route(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "GET", []:
                shown = [_shown_job(job) for job in reversed(self._jobs.values())]
                wanted = {key: call.query[key] for key in ("state", "kind") if key in call.query}
                return page([job for job in shown if wanted.items() <= job.items()], call)
            case "GET", [job_id]:
                job = _found(self._jobs, job_id, "JOB_001")
                self._advance(job)
                return json_answer(_shown_job(job))
            case "GET", [job_id, "log"]:
                return _log("one\ntwo\n", call)
            case "POST", [job_id, "cancel"]:
                _found(self._jobs, job_id, "JOB_001")["state"] = "cancelled"
                return json_answer(_shown_job(self._jobs[job_id]))
        return None

    def _build_route(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "POST", []:
                return json_answer(self._build(call.fields()), 202)
            case "GET", []:
                return page([self._shown_build(build) for build in reversed(self._builds.values())], call)
            case "GET", [build_id]:
                return json_answer(self._shown_build(_found(self._builds, build_id, "BUILD_001")))
        return None

    def _key_route(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "POST", []:
                number, now = str(len(self._keys) + 1), self._registry.now()
                extra = {"id": number, "tenant": self._registry.tenant, "created_at": now}
                self._keys[number] = {"expires_at": None} | call.fields() | extra
                return json_answer({**self._keys[number], "key": f"furo_{number}_secret"}, 201)
            case "GET", []:
                return page(list(self._keys.values()), call)
            case "DELETE", [key_id]:
                _found(self._keys, key_id, "KEY_001")
                del self._keys[key_id]
                return Answer(status=204)
        return None

    def _tenant_route(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "POST", []:
                tenant = {"display_name": "", **call.fields(), "created_at": self._registry.now(), **NOTHING_SET}
                if self._tenants.setdefault(tenant["name"], tenant) is not tenant:
                    raise Problem(409, "STATE_002", f"Tenant {tenant['name']!r} exists already.")
                return json_answer(tenant, 201)
            case "GET", []:
                return page(list(self._tenants.values()), call)
            case "GET", [name]:
                return json_answer(_found(self._tenants, name, "TENANT_001"))
            case "PUT", [name, "limits"]:
                tenant = _found(self._tenants, name, "TENANT_001")
                tenant["limits"] = NO_LIMITS | call.fields()
                return json_answer(tenant)
            case "PUT", [name, "features"]:
                tenant = _found(self._tenants, name, "TENANT_001")
                tenant["features"] = call.fields()["features"]
                return json_answer(tenant)
        return None

    def _start(self, kind: str) -> dict[str, Any]:
        job_id = f"job-{len(self._jobs) + 1}"
        job = {"id": job_id, "kind": kind, "state": "queued", "looks": 0, "fails": self.fail_jobs}
        self._jobs[job_id] = job | {"created_at": self._registry.now()}
        return self._jobs[job_id]

    def _advance(self, job: dict[str, Any]) -> None:
        if job["state"] in ("queued", "running"):
            state = LIFE[min(job["looks"], len(LIFE) - 1)][0]
            job["looks"] += 1
            job["state"] = "failed" if state == "succeeded" and job["fails"] else state

    def _build(self, fields: dict[str, Any]) -> dict[str, Any]:
        version = self._registry.resolve(fields["model"], fields.get("version"))
        build_id = f"build-{len(self._builds) + 1}"
        self._builds[build_id] = {
            "id": build_id,
            "tenant": self._registry.tenant,
            "model": version["model"],
            "version": version["version"],
            "variant": fields.get("variant", f"{version['format']}-fp32/cpu"),
            "job_id": self._start("build")["id"],
            "created_at": self._registry.now(),
        }
        return self._shown_build(self._builds[build_id])

    def _shown_build(self, build: dict[str, Any]) -> dict[str, Any]:
        job = self._jobs[build["job_id"]]
        done = job["state"] == "succeeded"
        tag = f"{build['tenant']}.{build['model']}:v{build['version']}-onnx-fp32-cpu"
        found = {"tag": tag, "size": 4096, "digest": "sha256:" + "cd" * 32} if done else {}
        return {**build, "state": job["state"], **found, "error": _error(job)}

    def _built(self, identity: str) -> dict[str, Any]:
        """The build or image of that id, as shown."""
        if (image := self.images.find(identity)) is not None:
            return image
        return self._shown_build(_found(self._builds, identity, "BUILD_001"))


def _found(table: dict[str, dict[str, Any]], key: str, code: str) -> dict[str, Any]:
    if key not in table:
        raise Problem(404, code, f"There is none named {key!r}.")
    return table[key]


def _error(job: dict[str, Any]) -> dict[str, str] | None:
    return {"code": "JOB_002", "message": "As told."} if job["state"] == "failed" else None


def _shown_job(job: dict[str, Any]) -> dict[str, Any]:
    progress, step = next(((p, s) for state, p, s in LIFE if state == job["state"]), (1.0, None))
    hidden = ("looks", "fails")
    extra = {"progress": progress, "step": step, "attempt": 1, "max_attempts": 3, "error": _error(job), "result": None}
    return {key: value for key, value in job.items() if key not in hidden} | extra


def _log(text: str, call: Call) -> Answer:
    data = text.encode()
    return Answer(headers={"x-log-size": str(len(data))}, body=data[int(call.query.get("offset", "0")) :])

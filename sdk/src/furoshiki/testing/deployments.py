# SPDX-License-Identifier: Apache-2.0
"""The fake's deployments: what their last job did is what there is of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from furoshiki.testing.catalogue import check, tagged
from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page

Thing = dict[str, Any]

_DEPLOYING: Final = {"queued": "pending", "running": "starting", "succeeded": "running"}
_STOPPING: Final = {"queued": "stopping", "running": "stopping", "succeeded": "stopped"}
_TEMPLATE: Final = ("build_id", "image_id", "model", "version", "digest", "target", "auth", "limits")
_RUN: Final = "r"
_LOG: Final = b"serving\nready\n"


class FakeDeployments:
    """Deployments of builds and images.

    Args:
        start: Starts a job of a kind.
        jobs: All jobs by id.
        built: The build or image of an id, as shown; it must be there.
        url: Where a running deployment says it answers.
        now: The time.
    """

    def __init__(
        self,
        start: Callable[[str], Thing],
        jobs: Mapping[str, Thing],
        *,
        built: Callable[[str], Thing],
        url: Callable[[], str | None],
        now: Callable[[], str],
    ) -> None:
        self._start = start
        self._jobs = jobs
        self._built = built
        self._url = url
        self._now = now
        self._deployments: dict[str, Thing] = {}
        self._revisions: dict[str, list[Thing]] = {}
        self._events: dict[str, list[Thing]] = {}

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.method, call.segments[2:]:
            case "POST", ("deployments",):
                return json_answer(self._create(call.fields()), 202)
            case "GET", ("deployments",):
                return page([self._shown(one) for one in self._deployments.values()], call)
            case method, ("deployments", name, *rest):
                return self._one(call, method, self._found(name), rest)
        return None

    def _one(self, call: Call, method: str, deployment: Thing, rest: list[str]) -> Answer | None:
        if method == "GET":
            return self._read(call, deployment, rest)
        match method, rest:
            case "PATCH", []:
                check(self._shown(deployment), call)
                return replace(tagged(self._change(deployment, call.fields())), status=202)
            case "POST", ["rollback"]:
                check(self._shown(deployment), call)
                return replace(tagged(self._roll_back(deployment, call.fields())), status=202)
            case "POST", ["stop"]:
                deployment["job_id"] = self._start("stop")["id"]
                return json_answer(self._shown(deployment), 202)
        return None

    def _read(self, call: Call, deployment: Thing, rest: list[str]) -> Answer | None:
        name = deployment["name"]
        match rest:
            case []:
                return tagged(self._shown(deployment))
            case ["revisions"]:
                return page(self._revisions[name][::-1], call)
            case ["events"]:
                return page(self._events[name][::-1], call)
            case ["logs"]:
                if call.query.get("instance", _RUN) != _RUN:
                    raise Problem(404, "DEPLOY_001", "No log of that instance is kept.")
                start = int(call.query.get("offset", "0"))
                return Answer(headers={"x-log-size": str(len(_LOG))}, body=_LOG[start:])
        return None

    def _create(self, fields: Thing) -> Thing:
        made = {"replicas": 1, **fields, "created_at": self._now(), "revision": 0, "serving_revision": None}
        self._deployments[fields["name"]] = made
        self._revisions[fields["name"]], self._events[fields["name"]] = [], []
        return self._want(made, fields, "created")

    def _change(self, deployment: Thing, fields: Thing) -> Thing:
        replicas = fields.pop("replicas", deployment["replicas"])
        deployment["replicas"] = replicas
        return self._want(deployment, fields, "updated" if fields else "scaled")

    def _roll_back(self, deployment: Thing, fields: Thing) -> Thing:
        number = fields.get("revision") or deployment["revision"] - 1
        found = [each for each in self._revisions[deployment["name"]] if each["revision"] == number]
        if not found:
            raise Problem(409, "STATE_001", f"There is no revision {number} to go back to.")
        wanted = {name: found[0][name] for name in _TEMPLATE}
        return self._want(deployment, wanted, "rolled_back", reason=fields.get("reason", ""))

    def _want(self, deployment: Thing, fields: Thing, kind: str, *, reason: str = "") -> Thing:
        name, now = deployment["name"], self._now()
        deployment.update(self._template(deployment, fields), updated_at=now, job_id=self._start("deploy")["id"])
        if kind != "scaled":
            deployment["revision"] += 1
            template = {each: deployment[each] for each in _TEMPLATE}
            facts = {"revision": deployment["revision"], "reason": reason, "created_by": "test", "created_at": now}
            self._revisions[name].append({**template, **facts})
        self._events[name].append({"kind": kind, "message": f"Revision {deployment['revision']}.", "at": now})
        return self._shown(deployment)

    def _template(self, deployment: Thing, fields: Thing) -> Thing:
        image = fields.get("image_id")
        wanted = {"auth": "api_key", "limits": {"cpus": None, "memory_bytes": None}, **deployment, **fields}
        made = self._built(image or wanted["build_id"])
        if made["state"] != "succeeded":
            raise Problem(409, "STATE_001", f"{made['id']} is {made['state']}; it must have succeeded.")
        found = {"build_id": made["id"], "image_id": None, "target": "process"}
        if image is not None:
            target = "kubernetes" if wanted.get("target") == "kubernetes" else "podman"
            found = {"build_id": made["build_id"], "image_id": image, "target": target}
        facts = {"tenant": made["tenant"], "model": made["model"], "version": made["version"], "digest": made["digest"]}
        return {"auth": wanted["auth"], "limits": wanted["limits"], **found, **facts}

    def _shown(self, deployment: Thing) -> Thing:
        job = self._jobs[deployment["job_id"]]
        states = _STOPPING if job["kind"] == "stop" else _DEPLOYING
        state = states.get(job["state"], "failed")
        if state == "running":
            deployment["serving_revision"] = deployment["revision"]
        if state != "running" and states is _DEPLOYING and deployment["serving_revision"] is not None:
            state = "running"  # what served before goes on
        error = {"code": "JOB_002", "message": "As told."} if job["state"] == "failed" else None
        url = self._url() if state == "running" else None
        run = {"run": _RUN, "revision": deployment["serving_revision"], "state": "ready", "host": "here", "url": url}
        kept = state == "running" and deployment["target"] != "kubernetes"
        instances = [{**run, "pid": None}] * deployment["replicas"] if kept else []
        drift = [] if error is None else ["it is not as wanted"]
        return {
            **deployment,
            "state": state,
            "url": url,
            "pid": None,
            "error": error,
            "instances": instances,
            "drift": drift,
        }

    def _found(self, name: str) -> Thing:
        if name not in self._deployments:
            raise Problem(404, "DEPLOY_001", f"There is none named {name!r}.")
        return self._deployments[name]

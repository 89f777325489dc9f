# SPDX-License-Identifier: Apache-2.0
"""What Locust runs: users of four protocols, the shape of the load, and the verdict.

A Locust user stands for one arrival a second, at a random moment of its second; so the plan's "100 users/s, one
request each" are 100 of them, and the rate does not fall when answers become slow (up to a second each). An answer is a
success when it is 200 (gRPC: OK) and its values are right. ``loadtests.locust.__main__`` writes the plan and starts this.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any, ClassVar

import grpc
import grpc.experimental.gevent
from locust import LoadTestShape, User, events, task
from locust.contrib.fasthttp import FastHttpUser

from loadtests.locust.plan import PLAN_FILE, Plan
from loadtests.locust.verdict import judge
from loadtests.locust.wire import Encoded, encode_binary, encode_grpc, encode_json, encode_v1, wrong

grpc.experimental.gevent.init_gevent()
PLAN = Plan.read(Path(os.environ[PLAN_FILE]))


def requests(encode: Any) -> list[Encoded]:
    """Every case of every target, encoded."""
    return [encode(target, case) for target in PLAN.targets for case in target.cases]


def label(protocol: str, request: Encoded) -> str:
    """Under which name a request is counted."""
    return f"{protocol} {request.target.tenant}/{request.target.model}"


class _Arrivals(User):
    """Sends at the same moment of every second. (``constant_throughput`` would count the first pause as work and so bring all
    users into step: bursts of a hundred instead of a hundred a second.)"""

    abstract = True

    def on_start(self) -> None:
        self._due = time.perf_counter() + random.random()
        time.sleep(self._due - time.perf_counter())  # Locust has made it gevent's

    def wait_time(self) -> float:
        self._due += 1.0
        return max(0.0, self._due - time.perf_counter())


class _HttpUser(_Arrivals, FastHttpUser):
    abstract = True
    host = PLAN.host
    network_timeout = connection_timeout = 10.0
    protocol: ClassVar[str]
    requests: ClassVar[list[Encoded]]

    @task
    def infer(self) -> None:
        request = random.choice(self.requests)
        with self.client.request(
            "POST",
            request.path,
            name=label(self.protocol, request),
            data=request.body,  # type: ignore[arg-type] # bytes work; the annotation forgets them
            headers={"X-API-Key": request.target.key, **request.headers},
            catch_response=True,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {(answer.text or '')[:200]}")
                return
            outputs = request.decode(answer.content, answer.headers.get("inference-header-content-length"))
            if difference := wrong(request.case, outputs):
                answer.failure(difference)


class JsonUser(_HttpUser):
    """Open Inference Protocol in JSON."""

    protocol, requests = "v2-json", requests(encode_json)


class BinaryUser(_HttpUser):
    """Open Inference Protocol with binary tensors."""

    protocol, requests = "v2-binary", requests(encode_binary)


class ShortUser(_HttpUser):
    """``/v1/infer``."""

    protocol, requests = "v1", requests(encode_v1)


class GrpcUser(_Arrivals):
    """``ModelInfer``, each user on a connection of its own."""

    abstract = PLAN.grpc is None
    requests: ClassVar[list[Encoded]] = requests(encode_grpc)

    def on_start(self) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self.channel = grpc.insecure_channel(str(PLAN.grpc), options=options)
        super().on_start()

    def on_stop(self) -> None:
        self.channel.close()

    @task
    def infer(self) -> None:
        request = random.choice(self.requests)
        failure: Exception | None = None
        answer = b""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(request.path)
        started = time.perf_counter()
        try:
            answer = call(request.body, timeout=10, metadata=(("x-api-key", request.target.key),))
        except grpc.RpcError as error:
            failure = error
        milliseconds = (time.perf_counter() - started) * 1000
        if failure is None and (difference := wrong(request.case, request.decode(answer, None))):
            failure = ValueError(difference)
        self.environment.events.request.fire(
            request_type="GRPC",
            name=label("grpc", request),
            response_time=milliseconds,
            response_length=len(answer),
            exception=failure,
            context={},
        )


class Shape(LoadTestShape):
    """The plan's ramp and hold."""

    def tick(self) -> tuple[int, float] | None:
        users = PLAN.profile.users(self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(PLAN.profile.rate))


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _pass_or_fail(environment: Any, **_: object) -> None:
    total = environment.stats.total
    checks = judge(
        PLAN,
        requests=total.num_requests,
        failures=total.num_failures,
        p95_ms=total.get_response_time_percentile(0.95),
    )
    for check in checks:
        print(check)
    environment.process_exit_code = 0 if all(check.passed for check in checks) else 1

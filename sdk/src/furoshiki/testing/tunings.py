# SPDX-License-Identifier: Apache-2.0
"""The fake's tunings: one point, measured as soon as the job has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page
from furoshiki.testing.registry import FakeRegistry

DEVICE: Final = {
    "fingerprint": "sha256:" + "1" * 64,
    "cpu": "Fake CPU",
    "cores": 2,
    "runner": "onnx-cpu",
    "version": "1.0",
    "features": ["avx2"],
}
CHOSEN: Final = {"instances": 2, "threads": 1, "max_rows": 16}
POINTS: Final = [{"instances": 2, "threads": 1, "rows": 16, "rows_per_s": 1234.5, "p50_ms": 0.25}]


class FakeTunings:
    """Tunings and their documents.

    Args:
        registry: Has the models.
        start: Starts a job of a kind.
        jobs: All jobs by id.
    """

    def __init__(
        self, registry: FakeRegistry, start: Callable[[str], dict[str, Any]], jobs: Mapping[str, dict[str, Any]]
    ) -> None:
        self._registry = registry
        self._start = start
        self._jobs = jobs
        self._tunings: dict[str, dict[str, Any]] = {}

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.method, *call.segments[2:]:
            case "POST", "tunings":
                return json_answer(self._tune(call.fields()), 202)
            case "GET", "tunings":
                return page([self._shown(tuning) for tuning in reversed(self._tunings.values())], call)
            case "GET", "tunings", tuning_id:
                if tuning_id not in self._tunings:
                    raise Problem(404, "TUNING_001", f"There is no tuning {tuning_id!r}.")
                return json_answer(self._shown(self._tunings[tuning_id]))
            case "GET", "models", model, "versions", number, "tuning":
                return self._document(model, int(number))
        return None

    def _tune(self, fields: dict[str, Any]) -> dict[str, Any]:
        version = self._registry.resolve(fields["model"], fields.get("version"))
        tuning_id = f"tuning-{len(self._tunings) + 1}"
        self._tunings[tuning_id] = {
            "id": tuning_id,
            "tenant": version["tenant"],
            "model": version["model"],
            "version": version["version"],
            "variant": fields.get("variant", "onnx-fp32/cpu"),
            "digest": version["digest"],
            "job_id": self._start("tune")["id"],
            "created_at": self._registry.now(),
            "finished_at": None,
        }
        return self._shown(self._tunings[tuning_id])

    def _shown(self, tuning: dict[str, Any]) -> dict[str, Any]:
        state = self._jobs[tuning["job_id"]]["state"]
        done = state == "succeeded"
        return {
            **tuning,
            "state": state,
            "device": DEVICE if done else None,
            "chosen": CHOSEN if done else None,
            "measurements": POINTS if done else [],
            "key_id": self._registry.signer.key_id if done else None,
            "error": {"code": "JOB_002", "message": "As told."} if state == "failed" else None,
        }

    def _document(self, model: str, version: int) -> Answer:
        """No signed one: whoever verifies it refuses it."""
        for tuning in self._tunings.values():
            shown = self._shown(tuning)
            if (shown["model"], shown["version"], shown["state"]) == (model, version, "succeeded"):
                return Answer(body=b"{}")
        raise Problem(404, "TUNING_001", f"{model}@{version} was not tuned.")

# SPDX-License-Identifier: Apache-2.0
"""The fake's conversions: accepted as soon as the job has ended, except to int8, which is rejected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page
from furoshiki.testing.registry import FakeRegistry

REASONS: Final = ["cosine 0.9 is below 0.98"]
ROUTES: Final = {
    "recipes": [
        {
            "name": "onnx_fp16",
            "kind": "quantize",
            "source": "onnx",
            "target": "onnx",
            "precision": "fp16",
            "dynamic_batch": True,
            "cost_s": 1.0,
            "needs": ["onnx"],
            "unavailable": None,
        }
    ],
    "routes": [
        {
            "source": "keras",
            "target": "tflite",
            "steps": ["keras_to_tflite"],
            "dynamic_batch": True,
            "cost_s": 2.0,
            "unavailable": "install tensorflow",
        }
    ],
}


class FakeConversions:
    """Conversions, calibration data, and the forms of versions.

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
        self._conversions: dict[str, dict[str, Any]] = {}
        self._calibrations: dict[tuple[str, str], dict[str, Any]] = {}

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.method, *call.segments[2:]:
            case "POST", "models", model, "versions", number, "conversions":
                return json_answer(self._convert(model, int(number), call.fields()), 202)
            case "GET", "models", model, "versions", number, "variants", *rest:
                return self._variants(model, int(number), rest)
            case "PUT", "models", model, "calibrations", name:
                return json_answer(self._calibrate(model, name, call.body))
            case "GET", "models", model, "calibrations":
                return page([kept for (owner, _), kept in self._calibrations.items() if owner == model], call)
            case "GET", "conversions", *rest:
                return self._conversion_route(call, rest)
        return None

    def _conversion_route(self, call: Call, rest: list[str]) -> Answer | None:
        match rest:
            case []:
                every = [self._shown(one) for one in reversed(self._conversions.values())]
                wanted = {key: call.query[key] for key in ("model", "version") if key in call.query}
                return page([one for one in every if all(str(one[key]) == wanted[key] for key in wanted)], call)
            case ["routes"]:
                return json_answer(ROUTES)
            case [conversion_id]:
                return json_answer(self._shown(self._found(conversion_id)))
            case [conversion_id, "report", *part]:
                shown = self._shown(self._found(conversion_id))
                if not shown["results"]:
                    raise Problem(404, "CONVERT_001", f"Conversion {conversion_id!r} has no result.")
                return Answer(body=b"<svg/>" if part == ["picture"] else b'{"accepted":true}')
        return None

    def _found(self, conversion_id: str) -> dict[str, Any]:
        if conversion_id not in self._conversions:
            raise Problem(404, "CONVERT_001", f"There is no conversion {conversion_id!r}.")
        return self._conversions[conversion_id]

    def _convert(self, model: str, number: int, fields: dict[str, Any]) -> dict[str, Any]:
        version = self._registry.resolve(model, number)
        conversion_id = f"conversion-{len(self._conversions) + 1}"
        self._conversions[conversion_id] = {
            "id": conversion_id,
            "tenant": version["tenant"],
            "model": model,
            "version": number,
            "variant": fields.get("variant", "onnx-fp32/cpu"),
            "digest": version["digest"],
            "to": fields["to"] if "/" in fields["to"] else fields["to"] + "/cpu",
            "auto": fields.get("auto", False),
            "route": fields.get("route"),
            "calibration": fields.get("calibration"),
            "thresholds": fields.get("thresholds"),
            "environment": None,
            "job_id": self._start("convert")["id"],
            "created_at": self._registry.now(),
            "finished_at": None,
        }
        return self._shown(self._conversions[conversion_id])

    def _shown(self, conversion: dict[str, Any]) -> dict[str, Any]:
        state = self._jobs[conversion["job_id"]]["state"]
        error = {"code": "JOB_002", "message": "As told."} if state == "failed" else None
        results = [self._result(conversion)] if state == "succeeded" else []
        return {**conversion, "state": state, "results": results, "error": error}

    def _result(self, conversion: dict[str, Any]) -> dict[str, Any]:
        accepted = "int8" not in conversion["to"]
        return {
            "variant": conversion["to"],
            "digest": "sha256:" + "2" * 64,
            "size": 1000,
            "accepted": accepted,
            "reasons": [] if accepted else REASONS,
            "route": ["onnx_fp16"],
            "cosine": 0.9995 if accepted else 0.9,
            "max_abs": 0.01,
            "top1_agreement": None,
            "ratio": 2.0,
            "p50_ms": 1.0,
            "source_p50_ms": 2.0,
            "key_id": self._registry.signer.key_id,
        }

    def _variants(self, model: str, number: int, rest: list[str]) -> Answer | None:
        version = self._registry.resolve(model, number)
        source = {
            "name": "onnx-fp32/cpu",
            "format": "onnx",
            "precision": "fp32",
            "device": "cpu",
            "digest": version["digest"],
            "key_id": self._registry.signer.key_id,
            "size": version["size"],
            "source": True,
        }
        if rest == ["choice"]:
            return json_answer({"variant": source, "why": "onnx-fp32/cpu was uploaded and runs on cpu."})
        if rest == ["picture"]:
            return Answer(body=b"<svg/>")
        if rest:
            return None
        forms: list[dict[str, Any]] = [
            {"name": source["name"], "state": "source", "variant": source, "conversion": None, "result": None}
        ]
        for conversion in map(self._shown, self._conversions.values()):
            if (conversion["model"], conversion["version"]) == (model, number):
                forms += [self._form(conversion["id"], result, source) for result in conversion["results"]]
        return json_answer({"items": forms})

    def _form(self, conversion: str, result: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
        state = "accepted" if result["accepted"] else "rejected"
        variant = {**source, "name": result["variant"], "digest": result["digest"], "source": False}
        return {
            "name": result["variant"],
            "state": state,
            "variant": variant if result["accepted"] else None,
            "conversion": conversion,
            "result": result,
        }

    def _calibrate(self, model: str, name: str, data: bytes) -> dict[str, Any]:
        self._calibrations[model, name] = {
            "model": model,
            "name": name,
            "size": len(data),
            "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
            "key_id": self._registry.signer.key_id,
            "created_at": self._registry.now(),
            "created_by": "tests",
        }
        return self._calibrations[model, name]

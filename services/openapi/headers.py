# SPDX-License-Identifier: Apache-2.0
"""Headers of requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of a request or an answer."""

    name: str
    description: str
    schema: Mapping[str, Any]
    always: bool = False  # of an answer: whether it is never left out


REQUEST_ID: Final = Header(
    name="X-Request-ID",
    description="The request's own id if it is 1-128 letters, digits or `-_.:`, else a new one.",
    schema={"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    always=True,
)
DIGEST: Final = Header(
    name="X-Furoshiki-Model-Digest",
    description="Digest of the verified manifest of the model that ran.",
    schema={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    always=True,
)
JSON_LENGTH: Final = Header(
    name="Inference-Header-Content-Length",
    description="Bytes of the JSON part; binary tensors follow it. 0 in a request: the body is the data of the one input.",
    schema={"type": "integer", "minimum": 0},
)
ERROR: Final = Header(
    name="X-Furoshiki-Error", description="The stable code of the error.", schema={"type": "string"}, always=True
)
RETRY_AFTER: Final = Header(
    name="Retry-After",
    description="Seconds after which to come back, where that is known.",
    schema={"type": "integer", "minimum": 1},
)
ALLOW: Final = Header(name="Allow", description="The methods of this path.", schema={"type": "string"}, always=True)
CHALLENGE: Final = Header(
    name="WWW-Authenticate", description="Always `Bearer`.", schema={"const": "Bearer"}, always=True
)

DEPRECATION: Final = Header(
    name="Deprecation",
    description="Since when the version that ran is deprecated, as RFC 9745 writes it; left out if it is not.",
    schema={"type": "string", "pattern": "^@[0-9]+$"},
)
SUNSET: Final = Header(
    name="Sunset",
    description="When that version may stop being served (RFC 8594), where that is decided.",
    schema={"type": "string"},
)

OF_ANSWERS: Final = (REQUEST_ID, DIGEST, DEPRECATION, SUNSET, JSON_LENGTH, ERROR, RETRY_AFTER, ALLOW, CHALLENGE)

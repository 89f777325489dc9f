# SPDX-License-Identifier: Apache-2.0
"""One good request for each route: whoever adds a route adds a line here, or the tests of this folder name it.

A path parameter is filled in from what ``owner`` has (:mod:`tests.integration.registry_api.access.world`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.integration.registry_api.access.world import CALIBRATION, MODEL, NEW_FILES

REASON: Final = {"reason": "test"}
CHAMPION: Final = {"version": 1, "expected": 1, **REASON}
APPROVAL: Final = {"target": "STAGING", "state": "sha256:" + "0" * 64}

# Parameters that name something of one tenant, and the name of something nobody has.
NOBODYS: Final[dict[str, str]] = {
    "model": "nobodys-model",
    "upload": "0" * 32,
    "webhook": "0" * 32,
    "tuning": "0" * 32,
    "conversion": "0" * 32,
    "calibration": "nobodys.npz",
    "build": "0" * 32,
    "image": "0" * 32,
    "job": "0" * 32,
    "name": "nobodys-deployment",
    "key": "0" * 16,
}
# Parameters that say which part of such a thing is meant, or that mean the same in every tenant.
SHARED: Final = frozenset(
    {"version", "alias", "approval", "delivery", "path", "target", "tenant", "form", "device", "digest"}
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is sent beside the path."""

    json: Any = None
    content: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    makes: bool = False  # makes something of the caller's own, whatever the name in the path

    def arguments(self) -> dict[str, Any]:
        """For httpx."""
        found = {"json": self.json, "content": self.content, "params": dict(self.query) or None}
        return {name: value for name, value in found.items() if value is not None}


SAMPLES: Final[Mapping[str, Sample]] = {
    "GET /whoami": Sample(),
    "POST /tenants": Sample(json={"name": "another"}),
    "GET /tenants": Sample(),
    "GET /tenants/{tenant}": Sample(),
    "PUT /tenants/{tenant}/limits": Sample(json={"burst": 5}),
    "PUT /tenants/{tenant}/features": Sample(json={"features": {"signing.p256": True}}),
    "GET /tenants/{tenant}/usage": Sample(),
    "POST /keys": Sample(json={"name": "x", "roles": ["viewer"]}),
    "GET /keys": Sample(),
    "POST /keys/{key}/rotate": Sample(json={}),
    "DELETE /keys/{key}": Sample(),
    "GET /trust": Sample(),
    "POST /tokens": Sample(json={}),
    "POST /token-keys/rotate": Sample(json={}),
    "POST /models": Sample(json={"name": "another"}),
    "GET /models": Sample(),
    "GET /models/{model}": Sample(),
    "PATCH /models/{model}": Sample(json={"description": "changed"}),
    "DELETE /models/{model}": Sample(query=REASON),
    "POST /models/{model}/restore": Sample(json=REASON),
    "GET /models/{model}/card": Sample(),
    "PUT /models/{model}/card": Sample(json={"fields": {"license": "changed"}}),
    "GET /models/{model}/resolve": Sample(query={"alias": "champion"}),
    "POST /models/{model}/uploads": Sample(json={"files": NEW_FILES}, makes=True),
    "POST /models/{model}/rollback": Sample(json=REASON),
    "GET /models/{model}/history": Sample(),
    "GET /models/{model}/production": Sample(query={"at": "2026-01-01T00:00:00Z"}),
    "GET /models/{model}/aliases": Sample(),
    "PUT /models/{model}/aliases/{alias}": Sample(json=CHAMPION),
    "DELETE /models/{model}/aliases/{alias}": Sample(query={"expected": "1", **REASON}),
    "GET /models/{model}/versions": Sample(),
    "GET /models/{model}/versions/{version}": Sample(),
    "PATCH /models/{model}/versions/{version}": Sample(json={"description": "changed"}),
    "DELETE /models/{model}/versions/{version}": Sample(query=REASON),
    "POST /models/{model}/versions/{version}/restore": Sample(json=REASON),
    "GET /models/{model}/versions/{version}/card": Sample(),
    "PUT /models/{model}/versions/{version}/card": Sample(json={"fields": {"license": "changed"}}),
    "GET /models/{model}/versions/{version}/manifest": Sample(),
    "GET /models/{model}/versions/{version}/signature": Sample(),
    "GET /models/{model}/versions/{version}/co-signature": Sample(),
    "GET /models/{model}/versions/{version}/files/{path}": Sample(),
    "PUT /models/{model}/versions/{version}/stage": Sample(json={"stage": "STAGING", **REASON}),
    "PUT /models/{model}/versions/{version}/deprecation": Sample(json=REASON),
    "DELETE /models/{model}/versions/{version}/deprecation": Sample(query=REASON),
    "GET /models/{model}/versions/{version}/readiness": Sample(query={"target": "STAGING"}),
    "GET /models/{model}/versions/{version}/approvals": Sample(),
    "POST /models/{model}/versions/{version}/approvals": Sample(json=APPROVAL),
    "DELETE /models/{model}/versions/{version}/approvals/{approval}": Sample(),
    "GET /models/{model}/versions/{version}/evidence": Sample(),
    "POST /models/{model}/versions/{version}/evidence": Sample(json={"kind": "evaluation", "content": {"accuracy": 1}}),
    "GET /models/{model}/versions/{version}/lineage": Sample(),
    "GET /models/{model}/versions/{version}/tuning": Sample(),
    "POST /models/{model}/versions/{version}/conversions": Sample(json={"to": "onnx-int8"}),
    "GET /models/{model}/versions/{version}/variants": Sample(),
    "GET /models/{model}/versions/{version}/variants/choice": Sample(),
    "GET /models/{model}/versions/{version}/variants/picture": Sample(),
    "GET /models/{model}/versions/{version}/variants/{form}/{device}/manifest": Sample(),
    "GET /models/{model}/versions/{version}/variants/{form}/{device}/signature": Sample(),
    "GET /models/{model}/versions/{version}/variants/{form}/{device}/files/{path}": Sample(),
    "PUT /models/{model}/calibrations/{calibration}": Sample(content=CALIBRATION),
    "GET /models/{model}/calibrations": Sample(),
    "GET /models/{model}/calibrations/{calibration}": Sample(),
    "GET /uploads/{upload}": Sample(),
    "PUT /uploads/{upload}/files/{path}": Sample(content=b"bytes"),
    "DELETE /uploads/{upload}": Sample(),
    "POST /uploads/{upload}/complete": Sample(),
    "GET /gates": Sample(),
    "GET /gates/{target}": Sample(),
    "PUT /gates/{target}": Sample(json={"approvals": 1}, makes=True),
    "GET /audit": Sample(),
    "GET /audit/verify": Sample(),
    "GET /audit/export": Sample(),
    "GET /signing/keys": Sample(),
    "GET /signing/p256": Sample(),
    "POST /signing/rotate": Sample(json=REASON),
    "POST /signing/revoke": Sample(json={"digest": "sha256:" + "0" * 64, **REASON}),
    "GET /jobs": Sample(),
    "GET /jobs/{job}": Sample(),
    "GET /jobs/{job}/log": Sample(),
    "POST /jobs/{job}/cancel": Sample(),
    "POST /tunings": Sample(json={"model": MODEL}),
    "GET /tunings": Sample(),
    "GET /tunings/{tuning}": Sample(),
    "GET /conversions": Sample(),
    "GET /conversions/routes": Sample(),
    "GET /conversions/{conversion}": Sample(),
    "GET /conversions/{conversion}/report": Sample(),
    "GET /conversions/{conversion}/report/signature": Sample(),
    "GET /conversions/{conversion}/report/picture": Sample(),
    "POST /builds": Sample(json={"model": MODEL}),
    "GET /builds": Sample(),
    "GET /builds/{build}": Sample(),
    "GET /builds/{build}/bento": Sample(),
    "GET /builds/{build}/manifest": Sample(),
    "GET /builds/{build}/signature": Sample(),
    "POST /images": Sample(json={"build_id": "0" * 32}),
    "GET /images": Sample(),
    "GET /images/{image}": Sample(),
    "GET /images/{image}/index": Sample(),
    "GET /images/{image}/blobs/{digest}": Sample(),
    "POST /deployments": Sample(json={"name": "x", "build_id": "0" * 32}),
    "GET /deployments": Sample(),
    "GET /deployments/{name}": Sample(),
    "PATCH /deployments/{name}": Sample(json={"replicas": 2}),
    "POST /deployments/{name}/rollback": Sample(json={}),
    "GET /deployments/{name}/revisions": Sample(),
    "GET /deployments/{name}/events": Sample(),
    "GET /deployments/{name}/logs": Sample(),
    "POST /deployments/{name}/stop": Sample(),
    "POST /webhooks": Sample(json={"url": "http://127.0.0.1:9/another"}),
    "GET /webhooks": Sample(),
    "GET /webhooks/{webhook}": Sample(),
    "PATCH /webhooks/{webhook}": Sample(json={"description": "changed"}),
    "DELETE /webhooks/{webhook}": Sample(),
    "POST /webhooks/{webhook}/test": Sample(),
    "GET /webhooks/{webhook}/deliveries": Sample(),
    "GET /webhooks/{webhook}/deliveries/{delivery}": Sample(),
    "POST /webhooks/{webhook}/deliveries/{delivery}/redeliver": Sample(),
    "POST /requests": Sample(json={"id": "0" * 32, "requests": []}),
    "GET /requests": Sample(),
    "GET /usage": Sample(),
}

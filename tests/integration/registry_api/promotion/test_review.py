# SPDX-License-Identifier: Apache-2.0
"""Gates over HTTP: what a promotion lacks, what meets it, and who may go around it."""

from __future__ import annotations

from typing import Any

from tests.integration.registry_api.promotion.governing import add, approve, headers, move, stages, unmet
from tests.integration.registry_api.rest import Api, declared, tiny_onnx

AT = "/models/digits/versions/1"
TO_PRODUCTION = {"stage": "PRODUCTION", "reason": "ready"}
EVERYTHING = {
    "signature": True,
    "parity": True,
    "evaluation": True,
    "latency": {"p99_ms": 20, "rows_per_s": 100},
    "sbom": True,
    "card_fields": ["intended_use"],
    "approvals": 2,
    "roles": ["approver"],
    "freezes": [{"kind": "interval", "start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z", "reason": "sale"}],
}

WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("parity", {"ok": True}),
    ("latency", {"p99_ms": "fast"}),
    ("latency", {"p99_ms": True}),
    ("sbom", {"components": []}),
    ("evaluation", {"count": 2**60}),
    ("gossip", {}),
)


async def gates(api: Api, **rules: Any) -> None:
    await api.ok("PUT", "/gates/PRODUCTION", json=rules)


async def test_a_refused_promotion_lists_every_unmet_gate_and_how_to_meet_it(digits: Api) -> None:
    """GATE_001 with all of them at once; nothing moved, and nothing but the gates is in the history."""
    await move(digits, 1, "STAGING")
    await gates(digits, **EVERYTHING)
    response = await digits.http.put(f"/api/v1{AT}/stage", json=TO_PRODUCTION)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (409, "GATE_001")
    assert [lack["gate"] for lack in error["details"]["unmet"]] == [
        *("parity", "evaluation", "latency", "sbom", "card", "approvals", "roles", "freeze")
    ]
    assert "furo approve" in error["message"]
    assert (await stages(digits))[1] == "STAGING"
    actions = [entry["action"] for entry in (await digits.ok("GET", "/audit"))["items"]]
    assert actions.count("version.stage_changed") == 1


async def test_evidence_and_approvals_meet_gates(digits: Api) -> None:
    """Each document closes its gate; two people who are not the author approve; the promotion records what it stood on."""
    await move(digits, 1, "STAGING")
    await gates(digits, parity=True, latency={"p99_ms": 20}, sbom=True, evaluation=True, approvals=2, signature=True)
    assert await unmet(digits, 1) == ["parity", "evaluation", "latency", "sbom", "approvals"]
    await add(digits, 1, "parity", {"passed": False})
    await add(digits, 1, "latency", {"p99_ms": 25.5})
    await add(digits, 1, "sbom", {"bomFormat": "CycloneDX", "components": []})
    await add(digits, 1, "evaluation", {"accuracy": 0.98})
    assert await unmet(digits, 1) == ["parity", "latency", "approvals"]
    await add(digits, 1, "parity", {"passed": True})
    await add(digits, 1, "latency", {"p99_ms": 12})
    one, two = await headers(digits, "approver"), await headers(digits, "approver")
    await approve(digits, 1, one)
    await approve(digits, 1, one)
    assert await unmet(digits, 1) == ["approvals"]
    await approve(digits, 1, two)
    await digits.ok("PUT", f"{AT}/stage", json=TO_PRODUCTION)
    change = (await digits.ok("GET", "/models/digits/history"))["items"][0]
    assert len(change["evidence"]["approvals"]) == 2
    assert change["evidence"]["state"].startswith("sha256:")


async def test_the_author_cannot_approve(digits: Api) -> None:
    """The key that registered the version is refused, whatever its roles."""
    await gates(digits, approvals=1)
    state = (await digits.ok("GET", f"{AT}/readiness"))["state"]
    body = {"target": "PRODUCTION", "state": state}
    assert await digits.refused("POST", f"{AT}/approvals", json=body) == (403, "AUTH_003")
    developer = await headers(digits, "developer")
    assert await digits.refused("POST", f"{AT}/approvals", json=body, headers=developer) == (403, "AUTH_003")


async def test_an_approval_is_void_when_anything_changes(digits: Api) -> None:
    """A new document, other gates or another card: the same people must look again; the old state cannot be approved."""
    await gates(digits, approvals=1)
    approver = await headers(digits, "approver")
    for change in ("evidence", "gates", "card"):
        given = await approve(digits, 1, approver)
        assert await unmet(digits, 1) == []
        if change == "evidence":
            await add(digits, 1, "evaluation", {"accuracy": 0.5})
        elif change == "gates":
            await gates(digits, approvals=1, mover_counts=False)
        else:
            await digits.ok("PUT", "/models/digits/card", json={"fields": {"intended_use": "digits"}, "body": "x"})
        assert await unmet(digits, 1) == ["approvals"], change
        body = {"target": "PRODUCTION", "state": given["state"]}
        assert await digits.refused("POST", f"{AT}/approvals", json=body, headers=approver) == (409, "STATE_001")


async def test_an_approval_can_be_withdrawn_by_who_gave_it(digits: Api) -> None:
    """By nobody else; it stays in the list and in the history."""
    await gates(digits, approvals=1)
    approver = await headers(digits, "approver")
    given = await approve(digits, 1, approver)
    at = f"{AT}/approvals/{given['id']}"
    assert await digits.refused("DELETE", at) == (403, "AUTH_003")
    assert await digits.refused("DELETE", f"{AT}/approvals/999", headers=approver) == (404, "GATE_002")
    assert (await digits.ok("DELETE", at, headers=approver))["withdrawn_at"] is not None
    await digits.ok("DELETE", at, headers=approver)
    assert await unmet(digits, 1) == ["approvals"]
    [listed] = (await digits.ok("GET", f"{AT}/approvals"))["items"]
    assert listed["withdrawn_at"] is not None
    actions = [entry["action"] for entry in (await digits.ok("GET", "/audit?resource=digits"))["items"]]
    assert actions[:2] == ["version.approval_withdrawn", "version.approved"]


async def test_an_emergency_override_needs_the_role_and_gates_that_permit_it_and_is_recorded(digits: Api) -> None:
    """A model admin may not, a tenant admin may, and history says which gates were passed over."""
    await move(digits, 1, "STAGING")
    await gates(digits, approvals=3, sbom=True)
    body = {**TO_PRODUCTION, "override": True}
    assert await digits.refused("PUT", f"{AT}/stage", json=body) == (409, "GATE_001")
    await gates(digits, approvals=3, sbom=True, override=True)
    model_admin = await headers(digits, "model-admin")
    assert await digits.refused("PUT", f"{AT}/stage", json=body, headers=model_admin) == (403, "AUTH_003")
    assert await digits.refused("PUT", f"{AT}/stage", json=TO_PRODUCTION) == (409, "GATE_001")
    await digits.ok("PUT", f"{AT}/stage", json=body)
    change = (await digits.ok("GET", "/models/digits/history"))["items"][0]
    assert change["evidence"]["overridden"] == ["sbom", "approvals"]


async def test_the_signature_is_verified_at_the_moment_of_the_move_and_cannot_be_overridden(digits: Api) -> None:
    """Revoking the version's digest stops its promotion and its rollback."""
    await gates(digits, signature=True, override=True)
    for version in (1, 2):
        await move(digits, version, "STAGING", "PRODUCTION")
    digest = (await digits.ok("GET", AT))["digest"]
    digits.platform.keys.revoke("default", digests=frozenset({digest}))
    body = {**TO_PRODUCTION, "override": True}
    assert await digits.refused("PUT", f"{AT}/stage", json=body) == (409, "GATE_001")
    assert await digits.refused("POST", "/models/digits/rollback", json={"reason": "x"}) == (409, "GATE_001")
    assert (await stages(digits))[2] == "PRODUCTION"


async def test_gates_are_shown_as_they_were_set(digits: Api) -> None:
    """Also those nobody set; other targets keep theirs; only who may manage gates sets them."""
    await gates(digits, **EVERYTHING)
    shown = (await digits.ok("GET", "/gates/PRODUCTION"))["gates"]
    assert {name: shown[name] for name in ("approvals", "card_fields", "roles")} == {
        "approvals": 2,
        "card_fields": ["intended_use"],
        "roles": ["approver"],
    }
    assert (await digits.ok("GET", "/gates/STAGING"))["gates"]["approvals"] == 0
    assert [item["target"] for item in await digits.ok("GET", "/gates")] == ["PRODUCTION"]
    developer = await headers(digits, "developer")
    assert await digits.refused("PUT", "/gates/STAGING", json={}, headers=developer) == (403, "AUTH_003")


async def test_evidence_without_what_its_kind_needs_is_refused(digits: Api) -> None:
    """422 VALID_002; nothing is kept."""
    for kind, content in WRONG:
        body = {"kind": kind, "content": content}
        assert await digits.refused("POST", f"{AT}/evidence", json=body) == (422, "VALID_002"), body
    assert (await digits.ok("GET", f"{AT}/evidence"))["items"] == []


async def test_who_declared_the_files_is_the_author_whoever_completes_the_upload(digits: Api) -> None:
    """A developer who is an approver too cannot have a colleague, or a robot, complete the upload and then approve it."""
    author, robot = await headers(digits, "developer", "approver"), await headers(digits, "developer")
    files = {"model.onnx": tiny_onnx()}
    upload = (await digits.ok("POST", "/models/digits/uploads", json={"files": declared(files)}, headers=author))["id"]
    for path, data in files.items():
        await digits.ok("PUT", f"/uploads/{upload}/files/{path}", content=data, headers=robot)
    made = (await digits.ok("POST", f"/uploads/{upload}/complete", headers=robot))["version"]
    at = f"/models/digits/versions/{made}"
    state = (await digits.ok("GET", f"{at}/readiness"))["state"]
    body = {"target": "PRODUCTION", "state": state}
    assert await digits.refused("POST", f"{at}/approvals", json=body, headers=author) == (403, "AUTH_003")

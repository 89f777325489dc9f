# SPDX-License-Identifier: Apache-2.0
"""The fake's signing keys: rotation, revocation and the policy that follows from them."""

from __future__ import annotations

from typing import Any

from furoshiki.testing.exchange import Answer, Call, Problem, json_answer
from furoshiki.testing.registry import FakeRegistry
from furoshiki.testing.signing import FakeSigner


class FakeCustody:
    """Signing keys of the fake registry. It has no co-signatures."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of these."""
        match call.method, call.segments[2:]:
            case "GET", ("signing", "keys"):
                return json_answer(self._keys())
            case "POST", ("signing", "rotate"):
                old = self._registry.signer
                self._registry.signer = FakeSigner(self._registry.tenant, before=old)
                return json_answer(self._keys())
            case "POST", ("signing", "revoke"):
                return json_answer(self._revoke(call.fields()))
            case "GET", ("signing", "p256") | ("models", _, "versions", _, "co-signature"):
                raise Problem(403, "AUTH_003", "The feature 'signing.p256' is switched off for this tenant.")
        return None

    def _keys(self) -> dict[str, Any]:
        signer = self._registry.signer
        return {
            "items": [
                {
                    **key,
                    "algorithm": "ed25519",
                    "signs": key["key_id"] == signer.key_id and signer.key_id not in signer.revoked,
                    "trusted": key["key_id"] not in signer.revoked,
                    "revoked": key["key_id"] in signer.revoked,
                }
                for key in reversed(signer.keys)
            ]
        }

    def _revoke(self, fields: dict[str, Any]) -> dict[str, Any]:
        signer = self._registry.signer
        named = [fields[name] for name in ("key_id", "digest", "version") if name in fields]
        if len(named) != 1:
            raise Problem(422, "VALID_002", "expected exactly one of 'key_id', 'digest' and 'version'")
        if "version" in fields:
            wanted = fields["version"]
            what = self._registry.resolve(wanted["model"], wanted["version"])["digest"]
        else:
            what = named[0]
        if "key_id" in fields and all(key["key_id"] != what for key in signer.keys):
            raise Problem(404, "KEY_001", f"There is no signing key {what!r}.")
        signer.revoked.append(what)
        return {"kind": "key" if "key_id" in fields else "digest", "id": what, "serial": signer.serial}

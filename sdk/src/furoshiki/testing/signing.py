# SPDX-License-Identifier: Apache-2.0
"""Makes signed bundles as the registry does, with a key that lives as long as the object."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from furoshiki.bundle.envelope import MEDIA_TYPE, PAYLOAD_TYPE, pae
from furoshiki.bundle.paths import MANIFEST_NAME, SIGNATURE_NAME


class FakeSigner:
    """One tenant's signing key, and the policy that trusts it and those before it.

    Args:
        tenant: Whose.
        before: The signer it takes over from; None: it is the first.
    """

    def __init__(self, tenant: str, before: FakeSigner | None = None) -> None:
        self._tenant = tenant
        self._key = Ed25519PrivateKey.generate()
        public = self._key.public_key()
        self._pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

        key = {"key_id": self.key_id, "public_key": self._pem.decode(), "not_before": None, "not_after": None}
        self.keys: list[dict[str, Any]] = [*([] if before is None else before.keys), key]
        self.revoked: list[str] = [] if before is None else before.revoked  # key ids and digests

    @property
    def serial(self) -> int:
        """Of the policy."""
        return len(self.keys) + len(self.revoked)

    def policy(self) -> bytes:
        """The trust policy as it is now."""
        digests = {name for name in self.revoked if name.startswith("sha256:")}
        return rfc8785.dumps(
            {
                "schema_version": 2,
                "serial": self.serial,
                "issued_at": None,
                "tenant": self._tenant,
                "keys": self.keys,
                "revoked_keys": sorted(set(self.revoked) - digests),
                "revoked_digests": sorted(digests),
            }
        )

    def bundle(
        self,
        model: str,
        version: int,
        *,
        form: str,
        files: Mapping[str, bytes],
        metadata: Mapping[str, str],
        now: datetime,
    ) -> dict[str, bytes]:
        """A bundle's files by path: manifest, signature and ``files``."""
        manifest = rfc8785.dumps(
            {
                "schema_version": 1,
                "kind": "model",
                "tenant": self._tenant,
                "model": model,
                "version": version,
                "variant": f"{form}-fp32/cpu",
                "format": form,
                "files": [
                    {"path": path, "size": len(files[path]), "digest": "sha256:" + _sha256(files[path])}
                    for path in sorted(files, key=lambda path: path.split("/"))
                ],
                "signature": None,
                "parent": None,
                "producer": "furoshiki.testing",
                "created_at": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "expires_at": None,
                "metadata": dict(metadata),
            }
        )
        signature = self._sign(f"{self._tenant}/{model}@{version}", {**files, MANIFEST_NAME: manifest})
        return {MANIFEST_NAME: manifest, SIGNATURE_NAME: signature, **files}

    def _sign(self, subject: str, files: Mapping[str, bytes]) -> bytes:
        names = sorted(files, key=lambda path: path.split("/"))
        resources = [{"name": name, "algorithm": "sha256", "digest": _sha256(files[name])} for name in names]
        root = hashlib.sha256(b"".join(bytes.fromhex(resource["digest"]) for resource in resources)).hexdigest()
        serialization = {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [SIGNATURE_NAME],
        }
        statement: Any = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": subject, "digest": {"sha256": root}}],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {"resources": resources, "serialization": serialization},
        }
        payload = rfc8785.dumps(statement)
        signature = {"sig": base64.b64encode(self._key.sign(pae(payload))).decode(), "keyid": self.key_id}
        envelope = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [signature],
        }
        material = {"publicKey": {"hint": _sha256(self._pem)}, "tlogEntries": []}
        bundle: Any = {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
        return rfc8785.dumps(bundle)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

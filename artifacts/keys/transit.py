# SPDX-License-Identifier: Apache-2.0
"""Signing by Vault's transit engine: the private key is made there and never leaves it.

A transit key has numbered versions; each is a key pair of its own, and so a key of its own to us.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Literal

import hvac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from artifacts.secrets.connection import VaultConnection
from artifacts.signing.interface import Algorithm
from artifacts.signing.public_key import PublicKey


class TransitSigner:
    """Signs with one version of one transit key; :meth:`sign` raises ``Unavailable`` while Vault cannot be reached."""

    def __init__(self, engine: TransitEngine, name: str, version: int, public_key: PublicKey) -> None:
        self._engine = engine
        self._name = name
        self._version = version
        self.key_id: Final = public_key.key_id
        self.algorithm: Final[Algorithm] = public_key.algorithm
        self.public_key: Final = public_key.pem

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``: 64 bytes for Ed25519, DER (r, s) over SHA-256 for P-256."""
        return self._engine.sign(self._name, self._version, message)


class TransitEngine:
    """One transit engine and the signing keys in it.

    Args:
        connection: To Vault.
        mount: Where the engine is mounted.
    """

    def __init__(self, connection: VaultConnection, mount: str) -> None:
        self._connection = connection
        self._mount = mount
        self._what = f"the transit engine {mount!r}"

    def make(self, name: str, kind: Literal["ed25519", "ecdsa-p256", "aes256-gcm96"]) -> None:
        """Makes a key unless there is one of that name."""
        self._connection.demand(lambda client: self.post(client, f"keys/{name}", {"type": kind}), what=self._what)

    def rotate(self, name: str) -> None:
        """Gives a key a new version, which becomes its newest."""
        self._connection.demand(lambda client: self.post(client, f"keys/{name}/rotate", {}), what=self._what)

    def newest(self, name: str) -> int:
        """The number of a key's newest version."""
        return int(self._read(name)["latest_version"])

    def signers(self, name: str) -> Mapping[str, TransitSigner]:
        """A signer for each version of a signing key, by key id, oldest first."""
        found = self._read(name)
        signers = {}
        for number, version in sorted(found["keys"].items(), key=lambda item: int(item[0])):
            public_key = _public_key(version["public_key"], found["type"])
            signers[public_key.key_id] = TransitSigner(self, name, int(number), public_key)
        return signers

    def sign(self, name: str, version: int, message: bytes) -> bytes:
        """What the version's private key signs. Ed25519 ignores the hash: it signs the message itself."""

        body = {
            "input": base64.b64encode(message).decode(),
            "key_version": version,
            "hash_algorithm": "sha2-256",
            "prehashed": False,
            "marshaling_algorithm": "asn1",
        }
        made = self._connection.demand(lambda client: self.post(client, f"sign/{name}", body), what=self._what)
        return base64.b64decode(str(made["signature"]).rpartition(":")[2])

    def post(self, client: hvac.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the engine answers to a request below its mount."""
        answer = client.adapter.post(f"/v1/{self._mount}/{path}", json=body)
        data: dict[str, Any] = answer["data"] if isinstance(answer, dict) else {}
        return data

    def _read(self, name: str) -> dict[str, Any]:
        def ask(client: hvac.Client) -> dict[str, Any]:
            found: dict[str, Any] = client.adapter.get(f"/v1/{self._mount}/keys/{name}")["data"]
            return found

        return self._connection.demand(ask, what=self._what)


def _public_key(text: str, kind: str) -> PublicKey:
    if kind == "ed25519":
        return PublicKey(Ed25519PublicKey.from_public_bytes(base64.b64decode(text)))
    return PublicKey.from_pem(text)

# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens in memory, and a server of key sets on a loopback socket; for tests of whatever takes tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from artifacts.tokens.jwk import Algorithm

_COORDINATE: Final = 32  # bytes, of P-256


def b64url(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class TokenSigner:
    """One private key that signs tokens.

    Args:
        algorithm: What it signs with.
        kid: Its id.
        rsa_bits: Of an RS256 key.
    """

    def __init__(self, algorithm: Algorithm, *, kid: str = "k1", rsa_bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._key: Any
        match algorithm:
            case "EdDSA":
                self._key = ed25519.Ed25519PrivateKey.generate()
            case "ES256":
                self._key = ec.generate_private_key(ec.SECP256R1())
            case "RS256":
                self._key = rsa.generate_private_key(65537, rsa_bits)

    def jwk(self) -> dict[str, str]:
        """Its public half, as a JSON Web Key."""
        return {"kid": self.kid, "use": "sig", "alg": self.algorithm, **self._public()}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token; ``header`` adds to or replaces what the header says, and None leaves a field out."""
        full = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **header}
        head = {name: value for name, value in full.items() if value is not None}
        message = f"{b64url(json.dumps(head).encode())}.{b64url(json.dumps(dict(claims)).encode())}"
        return f"{message}.{b64url(self.signature(message.encode()))}"

    def signature(self, message: bytes) -> bytes:
        """The signature of anything."""
        match self.algorithm:
            case "EdDSA":
                signature: bytes = self._key.sign(message)
                return signature
            case "ES256":
                r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
                return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
            case "RS256":
                signed: bytes = self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
                return signed

    def _public(self) -> dict[str, str]:
        public = self._key.public_key()
        match self.algorithm:
            case "EdDSA":
                return {"kty": "OKP", "crv": "Ed25519", "x": b64url(public.public_bytes_raw())}
            case "ES256":
                point = public.public_numbers()
                x, y = (b64url(value.to_bytes(_COORDINATE, "big")) for value in (point.x, point.y))
                return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
            case "RS256":
                numbers = public.public_numbers()
                return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}


def key_set(*signers: TokenSigner) -> bytes:
    """The public halves of some signers as a key set."""
    return json.dumps({"keys": [signer.jwk() for signer in signers]}).encode()


class KeyServer:
    """Answers every request on a loopback socket with one document.

    ``status``, ``headers`` and ``document`` may be changed at any time; ``silent`` takes requests and answers none.
    """

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.status = 200
        self.headers: dict[str, str] = {}
        self.silent = False
        self.requests = 0
        self.url = ""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                if not self.silent:
                    lines = [f"HTTP/1.1 {self.status} x", f"content-length: {len(self.document)}"]
                    lines += [f"{name}: {value}" for name, value in self.headers.items()]
                    writer.write("\r\n".join([*lines, "", ""]).encode() + self.document)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[KeyServer]:
        """Listens while the context is open."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/keys"
        try:
            yield self
        finally:
            server.close()

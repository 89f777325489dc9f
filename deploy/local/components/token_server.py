# SPDX-License-Identifier: Apache-2.0
"""A token server for a docker-registry on loopback, after https://distribution.github.io/distribution/spec/auth/token/.

It gives whoever logs in what he asks for, except in repositories below ``private/``, and strangers the right to pull below
``public/``. The registry checks its tokens, ES256 with the certificate beside them, as it does those of any other.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from jose import jwt

from deploy.local.components.certificates import write_certificate

ISSUER: Final = "furoshiki-local-tokens"
SERVICE: Final = "furoshiki-local-registry"


class TokenServer:
    """One server.

    Args:
        folder: For its key and certificate.
        user: The only one.
        password: His.
    """

    def __init__(self, folder: Path, user: str, password: str) -> None:
        self.certificate = folder / "tokens.pem"
        self.lifetime_s = 300  # of the next tokens
        self.failures = 0  # of the next answers: 503
        self.asked: list[tuple[str, ...]] = []  # the scopes of each request that was answered with a token
        self._key = folder / "tokens.key"
        write_certificate(self.certificate, self._key)
        der = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(Encoding.DER)
        self._chain = [base64.b64encode(der).decode()]
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._user = user
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"

    def answer(self, query: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Status and body for one request."""
        if self.failures:
            self.failures -= 1
            return 503, {"details": "tired"}
        if authorization not in (None, self._login):
            return 401, {"details": "wrong user or password"}
        scopes = tuple(parse_qs(query).get("scope", []))
        self.asked.append(scopes)
        return 200, {"token": self._token(scopes, known=authorization is not None), "expires_in": self.lifetime_s}

    def _token(self, scopes: tuple[str, ...], *, known: bool) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": self._user if known else "",
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + self.lifetime_s,
            "jti": uuid.uuid4().hex,
            "access": [access for scope in scopes if (access := _granted(scope, known=known))],
        }
        return str(jwt.encode(claims, self._key.read_text(), algorithm="ES256", headers={"x5c": self._chain}))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = server.answer(urlsplit(self.path).query, self.headers.get("authorization"))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                """Says nothing."""

        return Handler

    def start(self) -> None:
        """Answers from now on."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def token_server(folder: Path, user: str, password: str) -> Iterator[TokenServer]:
    """A running token server, which ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = TokenServer(folder, user, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _granted(scope: str, *, known: bool) -> dict[str, Any] | None:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    allowed = actions.split(",") if known and not name.startswith("private/") else []
    if not known and name.startswith("public/"):
        allowed = ["pull"]
    return {"type": kind, "name": name, "actions": allowed} if allowed else None

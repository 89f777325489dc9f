# SPDX-License-Identifier: Apache-2.0
"""Waits on a loopback port for the browser to bring a provider's answer (RFC 8252, section 7.3).

Only ``GET /callback`` is an answer; whatever else knocks gets 404 and is waited past. The page that is shown repeats nothing
of the request, and no log holds its address: the code is in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from furoshiki.errors import AuthError
from furoshiki.oidc import REFUSED

_PAGE: Final = b"<!doctype html><title>furo</title><p>Done here. You can close this page and go back to the terminal."
_IDLE_SECONDS: Final = 5.0  # after which a connection that says nothing is dropped


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_SECONDS
    server: Listener

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        answered = parts.path == "/callback"
        if answered:
            self.server.answer = dict(parse_qsl(parts.query, max_num_fields=20))
        self.send_response(200 if answered else 404)
        body = _PAGE if answered else b""
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in http.server
        """Logs nothing."""


class Listener(HTTPServer):
    """Listens on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: dict[str, str] | None = None
        self.timeout = 0.5  # seconds; so often it is looked whether the wait is over

    @property
    def redirect_uri(self) -> str:
        """Where the provider is to send the browser."""
        return f"http://127.0.0.1:{self.server_port}/callback"

    def wait(self, seconds: float) -> dict[str, str]:
        """The parameters of the answer.

        Raises:
            AuthError: ``AUTH_002`` if none came in time.
        """
        end = time.monotonic() + seconds
        while self.answer is None:
            if time.monotonic() >= end:
                raise AuthError(REFUSED, f"Nobody logged in within {seconds:.0f} s. Run `furo login --oidc` again.")
            self.handle_request()
        return self.answer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no answer."""


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener, closed at the end."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.server_close()

# SPDX-License-Identifier: Apache-2.0
"""The API on loopback as an HTTP server, and its controllers."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from registry_api.deployments.kubernetes.testing.asking import Asked, read
from registry_api.deployments.kubernetes.testing.controllers import Controllers
from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.deployments.kubernetes.testing.objects import Objects
from registry_api.deployments.kubernetes.testing.storing import Refused


class ClusterServer:
    """A cluster with one namespace.

    Attributes:
        objects: What there is.
        controllers: What makes pods of a Deployment.
        asked: Every request so far.
        token: The credential that is accepted.
        before: Called with each request before it is answered; raises :class:`Refused`, or ``ConnectionError`` to cut it off.
    """

    def __init__(self, *, namespace: str = "ml") -> None:
        self.namespace = namespace
        self.objects = Objects()
        self.controllers = Controllers(self.objects)
        self.asked: list[Asked] = []
        self.token = "secret"  # noqa: S105 - of nothing
        self.before: Callable[[Asked], None] = lambda _: None
        self.page = 500  # objects of one page at most
        self.url = ""

    @contextmanager
    def running(self, *, certificate: Path | None = None, key: Path | None = None) -> Iterator[ClusterServer]:
        """Serves on a free port until the block ends; with a certificate and its key (PEM) over TLS."""
        handler = type("Handler", (_Handler,), {"cluster": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        """Writes a configuration with the present token."""
        named = {"cluster": "loopback", "user": "registry"}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "loopback",
                    "contexts": [{"name": "loopback", "context": named}],
                    "clusters": [{"name": "loopback", "cluster": {"server": self.url}}],
                    "users": [{"name": "registry", "user": {"token": self.token}}],
                }
            )
        )
        return path

    def answer(self, asked: Asked) -> Object:
        """The object that answers a request which is no watch and no log."""
        if asked.method == "GET" and asked.name is None:
            return self._page(asked)
        if asked.namespace != self.namespace:
            raise self._missing(asked)
        found = self.objects.get(asked.plural, asked.name or "")
        if asked.method == "PATCH":
            return self._applied(asked)
        if found is None:
            raise Refused(
                HTTPStatus.NOT_FOUND, f'{asked.plural} "{asked.name}" not found', details={"kind": asked.plural}
            )
        if asked.method == "DELETE":
            if asked.body.get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
                raise Refused(HTTPStatus.CONFLICT, "the UID in the precondition does not match")
            self.controllers.deleted(asked.plural, asked.name or "", asked.body.get("propagationPolicy", "Background"))
        return found

    def chosen(self, asked: Asked) -> Callable[[Object], bool]:
        """What a label selector of equalities chooses."""
        pairs = [each.split("=", 1) for each in asked.query.get("labelSelector", "").split(",") if each]

        def fits(each: Object) -> bool:
            labels = each["metadata"].get("labels", {})
            return all(labels.get(key) == value for key, value in pairs)

        return fits

    def _missing(self, asked: Asked) -> Refused:
        """Only who would write hears that there is no such namespace; who reads finds nothing in it."""
        if asked.method != "PATCH":
            return Refused(HTTPStatus.NOT_FOUND, f'{asked.plural} "{asked.name}" not found')
        message = f'namespaces "{asked.namespace}" not found'
        return Refused(HTTPStatus.NOT_FOUND, message, details={"kind": "namespaces", "name": asked.namespace})

    def _applied(self, asked: Asked) -> Object:
        named = (asked.body["metadata"]["name"], asked.body["metadata"].get("namespace", self.namespace))
        if named != (asked.name, self.namespace) or "fieldManager" not in asked.query:
            raise Refused(HTTPStatus.BAD_REQUEST, "the object, its address and the field manager do not fit together")
        applied = self.objects.apply(
            asked.plural,
            asked.body,
            manager=asked.query["fieldManager"],
            force=asked.query.get("force") == "true",
            dry=asked.dry,
        )
        if not asked.dry:
            self.controllers.applied(asked.plural, asked.body["metadata"]["name"])
        return applied

    def _page(self, asked: Asked) -> Object:
        here = asked.namespace == self.namespace
        found = self.objects.every(asked.plural, self.chosen(asked)) if here else []
        version, _, begun = asked.query.get("continue", f"{self.objects.version}:0").partition(":")
        if int(version) < self.objects.oldest():
            raise Refused(
                HTTPStatus.GONE, "The provided continue parameter is too old to display a consistent list result."
            )
        start = int(begun)
        end = start + min(self.page, int(asked.query.get("limit", self.page)))
        going_on = {"continue": f"{version}:{end}"} if end < len(found) else {}
        items = [{key: value for key, value in each.items() if key not in {"kind", "apiVersion"}} for each in found]
        return {"kind": "List", "metadata": {"resourceVersion": version} | going_on, "items": items[start:end]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    cluster: ClusterServer

    def do_GET(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._answer(body)
        except Refused as refused:
            status = {"kind": "Status", "status": "Failure", "message": str(refused), "code": refused.code}
            later = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
            self._send(refused.code, json.dumps(status | {"details": refused.details}).encode(), **later)
        except ConnectionError:
            self.close_connection = True

    def _answer(self, body: bytes) -> None:
        asked = read(self.command, self.path, body)
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if (scheme.lower(), token) != ("bearer", self.cluster.token):
            raise Refused(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        self.cluster.asked.append(asked)
        self.cluster.before(asked)
        if asked.method == "PATCH" and self.headers.get("Content-Type") != "application/apply-patch+yaml":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only server-side apply is spoken here")
        if asked.log:
            self._send(
                HTTPStatus.OK, self.cluster.controllers.printing.answer(asked.name or "", asked.query), "text/plain"
            )
        elif asked.query.get("watch") == "true":
            self._watch(asked)
        else:
            self._send(HTTPStatus.OK, json.dumps(self.cluster.answer(asked)).encode())

    def _send(self, code: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, asked: Asked) -> None:
        """One line for each event, until the time is over; a version that is too old is one event of type ERROR."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        objects, version = self.cluster.objects, int(asked.query["resourceVersion"])
        chosen = self.cluster.chosen(asked)
        with objects.changed:
            objects.changed.wait_for(lambda: objects.version > version, timeout=float(asked.query["timeoutSeconds"]))
        try:
            for _, kind, each in objects.since(asked.plural, version):
                if chosen(each):
                    self.wfile.write(json.dumps({"type": kind, "object": each}).encode() + b"\n")
        except Refused as gone:
            status = {"kind": "Status", "code": gone.code, "message": str(gone)}
            self.wfile.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")

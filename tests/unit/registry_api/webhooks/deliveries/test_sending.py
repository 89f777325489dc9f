# SPDX-License-Identifier: Apache-2.0
"""One POST: to the address that was checked, with the name's certificate, bounded in time and size, never redirected."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.clock import SystemClock
from registry_api.webhooks.addresses import Address, AddressPolicy, Resolver, system_resolver
from registry_api.webhooks.deliveries.sending import Sender
from registry_api.webhooks.testing import CUT, Receiver, open_receiver

HERE = AddressPolicy(http=True, ports=frozenset(), loopback=True)


def sender(
    policy: AddressPolicy = HERE, resolve: Resolver = system_resolver, tls: ssl.SSLContext | None = None
) -> Sender:
    return Sender(policy, SystemClock(), timeout_seconds=20, response_bytes=64, resolve=resolve, tls=tls)


async def here(_host: str, _port: int) -> Sequence[Address]:
    return [ip_address("127.0.0.1")]


async def test_a_success_is_without_error(receiver: Receiver) -> None:
    """Status and the beginning of the answer are kept; the body arrives as it was given."""
    outcome = await sender().send(receiver.url, {"webhook-id": "evt_1"}, b"{}")
    assert (outcome.status, outcome.error, outcome.response) == (200, None, "ok")
    [message] = receiver.messages
    assert (message.id, message.body, message.path) == ("evt_1", b"{}", "/hook")


async def test_the_name_is_in_the_request_and_not_looked_up_again(receiver: Receiver) -> None:
    """The connection goes to the address that was checked; the Host header says the name."""
    looked_up: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[Address]:
        looked_up.append(host)
        return [ip_address("127.0.0.1" if len(looked_up) == 1 else "10.0.0.1")]

    url = receiver.url.replace("127.0.0.1", "hooks.example")
    outcome = await sender(resolve=rebinding).send(url, {}, b"{}")
    assert (outcome.status, looked_up) == (200, ["hooks.example"])
    assert receiver.messages[0].headers["host"] == url.split("/")[2]


async def test_a_name_that_leads_inside_at_send_is_refused(receiver: Receiver) -> None:
    """It was public when the webhook was made; now it is not, and nothing is sent."""
    url = receiver.url.replace("127.0.0.1", "hooks.example")
    outcome = await sender(AddressPolicy(http=True, ports=frozenset()), here).send(url, {}, b"{}")
    assert (outcome.status, outcome.error) == (None, "The host 'hooks.example' has an address that is not public.")
    assert receiver.messages == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_failures(receiver: Receiver, status: int) -> None:
    """Not even to the cloud's metadata service."""
    receiver.otherwise = (
        b"HTTP/1.1 %d Moved\r\nlocation: http://169.254.169.254/latest/meta-data/\r\ncontent-length: 0\r\n\r\n" % status
    )
    outcome = await sender().send(receiver.url, {}, b"{}")
    assert (outcome.status, outcome.error) == (status, f"answered {status}: redirects are not followed")
    assert len(receiver.messages) == 1


async def test_of_a_huge_answer_only_the_beginning_is_read(receiver: Receiver) -> None:
    """A receiver cannot fill our memory."""
    receiver.otherwise = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 1_000_000
    outcome = await sender().send(receiver.url, {}, b"{}")
    assert (outcome.error, outcome.response) == (None, "x" * 64)


@pytest.mark.parametrize("answer", [CUT, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", b"nonsense\r\n\r\n"])
async def test_answers_that_are_none_are_failures(receiver: Receiver, answer: bytes) -> None:
    """A connection that is cut and bytes that are not HTTP fail the attempt."""
    receiver.otherwise = answer
    outcome = await sender().send(receiver.url, {}, b"{}")
    assert outcome.error is not None
    assert "RemoteProtocolError" in outcome.error


async def test_nobody_listens() -> None:
    """A refused connection is a failure like others."""
    outcome = await sender().send("http://127.0.0.1:1/", {}, b"{}")
    assert outcome.status is None
    assert outcome.error is not None
    assert outcome.error.startswith("ConnectError")


async def test_the_certificate_must_be_of_the_name(tmp_path: Path) -> None:
    """Though the connection is made to an address, TLS is checked against the URL's name."""
    server, client = _certified("hooks.example", tmp_path)
    async with open_receiver(server) as receiver:
        good = receiver.url.replace("127.0.0.1", "hooks.example")
        assert (await sender(resolve=here, tls=client).send(good, {}, b"{}")).status == 200
        bad = receiver.url.replace("127.0.0.1", "other.example")
        outcome = await sender(resolve=here, tls=client).send(bad, {}, b"{}")
        assert outcome.status is None
        assert "CERTIFICATE_VERIFY_FAILED" in (outcome.error or "")
        unknown = await sender(resolve=here).send(good, {}, b"{}")
        assert "CERTIFICATE_VERIFY_FAILED" in (unknown.error or "")
        assert len(receiver.messages) == 1


def _certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server with a certificate for ``name``, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, private)
    return server, ssl.create_default_context(cafile=str(chain))

# SPDX-License-Identifier: Apache-2.0
"""How the gRPC server listens. Each is a setting ``FUROSHIKI_GRPC__…``.

The sizes of messages are those of every edge: ``FUROSHIKI_LIMITS__BODY_BYTES`` and ``…__OUTPUT_BYTES``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from core.errors import ErrorCode, InitError
from services.edge.limits import EdgeLimits

# Metadata carries a credential of up to 8 KiB. Beyond the first bound calls are refused at random, beyond the second always.
_METADATA_BYTES: Final = 16 * 2**10
_MOST_METADATA_BYTES: Final = 32 * 2**10
_KEEPALIVE_TIMEOUT_S: Final = 20.0
_BESIDE_TENSORS_BYTES: Final = 2**20  # names and shapes of a result


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcOptions:
    """One listening port."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    shared_port: bool = False  # several processes of this service listen on the port
    certificate: Path | None = None  # PEM chain; with it the port speaks TLS only
    key: Path | None = None  # PEM private key of the certificate
    client_ca: Path | None = None  # PEM; clients must show a certificate it signed
    calls: int = 4096  # answered at a time, open streams included; more are refused at once
    connection_calls: int = 1024  # of one connection at a time; more wait in the client
    stream_requests: int = 64  # of one stream at a time; more are not read yet
    stream_idle_s: float = 3600.0  # without a request, after which a stream is ended
    keepalive_s: float = 60.0  # of silence, after which a client is asked whether it is still there
    ping_interval_s: float = 10.0  # a client that asks us more often is disconnected
    reflection: bool = True  # tell clients the services and their messages
    engine: Literal["http2", "grpc"] = "http2"  # who speaks HTTP/2: this process's event loop, or gRPC's C core

    @property
    def address(self) -> str:
        """Host and port as gRPC writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def channel_options(options: GrpcOptions, limits: EdgeLimits) -> list[tuple[str, int]]:
    """What the C core is told; names are those of ``grpc/impl/channel_arg_names.h``."""
    return [
        ("grpc.so_reuseport", int(options.shared_port)),
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", limits.output_bytes + _BESIDE_TENSORS_BYTES),
        ("grpc.max_concurrent_streams", options.connection_calls),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MOST_METADATA_BYTES),
        ("grpc.keepalive_time_ms", _ms(options.keepalive_s)),
        ("grpc.keepalive_timeout_ms", _ms(_KEEPALIVE_TIMEOUT_S)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # a stream may wait for long
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(options.ping_interval_s)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(options.ping_interval_s)),
    ]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What a TLS port needs, read."""

    key: bytes
    certificate: bytes
    client_ca: bytes | None


def tls_files(options: GrpcOptions) -> TlsFiles | None:
    """Reads the files of a TLS port; None if the port speaks plain HTTP/2.

    Raises:
        InitError: ``INIT_002`` if a file is missing, cannot be read or only some of them are set.
    """
    if options.certificate is None and options.key is None and options.client_ca is None:
        return None
    if options.certificate is None or options.key is None:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "FUROSHIKI_GRPC__CERTIFICATE and FUROSHIKI_GRPC__KEY: only one is set; TLS needs both.",
        )
    files = TlsFiles(
        key=_read(options.key, "FUROSHIKI_GRPC__KEY"),
        certificate=_read(options.certificate, "FUROSHIKI_GRPC__CERTIFICATE"),
        client_ca=None if options.client_ca is None else _read(options.client_ca, "FUROSHIKI_GRPC__CLIENT_CA"),
    )
    _check(options.certificate, options.key, options.client_ca)
    return files


def _check(certificate: Path, key: Path, client_ca: Path | None) -> None:
    """gRPC itself would open a port that refuses every handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # never asks on the terminal
    except ssl.SSLError as error:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_GRPC__CERTIFICATE and FUROSHIKI_GRPC__KEY: {str(certificate)!r} and {str(key)!r} are not a "
            f"certificate and its private key in PEM without a password ({error.reason}).",
        ) from None
    if client_ca is None:
        return
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_GRPC__CLIENT_CA: {str(client_ca)!r} holds no certificate in PEM ({error.reason}).",
        ) from None


def _read(file: Path, variable: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InitError(
            ErrorCode.SETTING_INVALID, f"{variable}: got {str(file)!r}, which cannot be read ({error.strerror})."
        ) from None

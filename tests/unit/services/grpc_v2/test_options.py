# SPDX-License-Identifier: Apache-2.0
"""Options of the port: addresses, TLS files, and what the C core is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ErrorCode, InitError
from services.edge.limits import EdgeLimits
from services.grpc_v2.options import GrpcOptions, channel_options, tls_files


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1:3001"), ("::1", "[::1]:3001")])
def test_addresses(host: str, address: str) -> None:
    """An IPv6 address stands in brackets."""
    assert GrpcOptions(host=host, port=3001).address == address


def test_messages_have_the_limits_of_every_edge() -> None:
    """What may be received is the limit of a body; what may be sent holds the largest result."""
    told = dict(channel_options(GrpcOptions(), EdgeLimits(body_bytes=1000, output_bytes=2000)))
    assert told["grpc.max_receive_message_length"] == 1000
    assert told["grpc.max_send_message_length"] > 2000


def test_without_files_there_is_no_tls() -> None:
    """A port without certificate speaks plain HTTP/2."""
    assert tls_files(GrpcOptions()) is None


@pytest.mark.parametrize("given", ["certificate", "key", "client_ca"])
def test_half_of_the_files(tmp_path: Path, given: str) -> None:
    """One file alone is refused: a port that was meant to speak TLS never speaks plain."""
    (tmp_path / "x.pem").write_text("x")
    with pytest.raises(InitError, match="GRPC__CERTIFICATE and FUROSHIKI_GRPC__KEY") as caught:
        tls_files(GrpcOptions(**{given: tmp_path / "x.pem"}))  # type: ignore[arg-type]
    assert caught.value.code is ErrorCode.SETTING_INVALID


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The refusal names the variable and the file."""
    (tmp_path / "key.pem").write_text("x")
    with pytest.raises(InitError, match=r"GRPC__CERTIFICATE: got '.*absent.pem'"):
        tls_files(GrpcOptions(certificate=tmp_path / "absent.pem", key=tmp_path / "key.pem"))


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    """What is no certificate with its key is refused before the port is opened."""
    (tmp_path / "key.pem").write_text("x")
    with pytest.raises(InitError, match="are not a certificate and its private key"):
        tls_files(GrpcOptions(certificate=tmp_path / "key.pem", key=tmp_path / "key.pem"))

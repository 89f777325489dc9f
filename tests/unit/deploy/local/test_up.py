# SPDX-License-Identifier: Apache-2.0
"""``make up``, before it starts anything."""

from __future__ import annotations

import socket

import pytest

from deploy.local.stack import NotStarted
from deploy.local.up import check_free


def test_a_port_in_use_is_said_with_what_chooses_another() -> None:
    """While somebody listens; not any more once they are gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(NotStarted, match=rf"Port {port} .*UP_GRPC_PORT=PORT make up"):
            check_free({"UP_GRPC_PORT": port})
    check_free({"UP_GRPC_PORT": port})

# SPDX-License-Identifier: Apache-2.0
"""What can be switched per tenant: the one list of names, which the registry takes and the services obey.

Names are stable: they stand in records and in the answers of the registry. A record may hold names of another version;
whoever reads one ignores those it does not know.
"""

from __future__ import annotations

from enum import StrEnum


class Feature(StrEnum):
    """What can be switched; the comment on each line is what a tenant without it cannot use."""

    V1_MSGPACK = "v1.msgpack"  # MessagePack on /v1/infer, in either direction
    V1_PROTOBUF = "v1.protobuf"  # Protobuf on /v1/infer, in either direction
    V2_BINARY = "v2.binary"  # the binary tensor data extension of /v2, in either direction
    V2_SHARED_MEMORY = "v2.shared_memory"  # registering and using shared memory regions, over HTTP and gRPC
    V2_REPOSITORY = "v2.repository"  # repository index, load and unload, over HTTP and gRPC
    V2_STATISTICS = "v2.statistics"  # statistics of models, over HTTP and gRPC
    V2_STREAMING = "v2.streaming"  # ModelStreamInfer over gRPC
    REQUESTS_LOG = "requests.log"  # the service's share of its requests in the request log, and every failure
    REQUESTS_LOG_ALL = "requests.log_all"  # all of its requests in the request log, whatever the service's share
    SIGNING_P256 = "signing.p256"  # P-256 co-signatures; on by default where FUROSHIKI_KEYS__CO_SIGN says so

# SPDX-License-Identifier: Apache-2.0
"""Features of the protocols that can be switched per tenant: the one list of their names.

All are on unless they are listed in :data:`OFF_BY_DEFAULT`; a tenant's record holds only what differs from that. A
caller's features are worked out once, when its credential is looked up, so that :func:`require` is a look-up in a set.
Names are stable: they stand in records and in the answers of the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from core.errors import AuthError, ErrorCode


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


OFF_BY_DEFAULT: Final[frozenset[str]] = frozenset({Feature.REQUESTS_LOG_ALL.value})
DEFAULT_FEATURES: Final[frozenset[str]] = frozenset(feature.value for feature in Feature) - OFF_BY_DEFAULT


class Entitled(Protocol):
    """Who has features: a principal."""

    @property
    def features(self) -> frozenset[str]:
        """Names of the features that are switched on."""
        ...


def effective(switches: Mapping[str, bool]) -> frozenset[str]:
    """The features of a tenant whose record holds ``switches``.

    Args:
        switches: True or False by feature name. Names this version does not know are ignored: a record may be newer.
    """
    known = {str(feature): switches[feature] for feature in Feature if feature in switches}
    on = {name for name, wanted in known.items() if wanted}
    return (DEFAULT_FEATURES | on) - (known.keys() - on)


def require(principal: Entitled, feature: Feature) -> None:
    """Lets a call pass if its tenant has ``feature``.

    Raises:
        AuthError: ``AUTH_003`` if it is switched off.
    """
    if feature not in principal.features:
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            f"The feature {feature.value!r} is switched off for this tenant; an administrator can switch it on.",
            details={"feature": feature.value},
        )

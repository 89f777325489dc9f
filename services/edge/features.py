# SPDX-License-Identifier: Apache-2.0
"""Which features of :mod:`core.features` a caller has.

All are on unless they are listed in :data:`OFF_BY_DEFAULT`; a tenant's record holds only what differs from that. A
caller's features are worked out once, when its credential is looked up, so that :func:`require` is a look-up in a set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from core.errors import AuthError, ErrorCode
from core.features import Feature

OFF_BY_DEFAULT: Final[frozenset[str]] = frozenset({Feature.REQUESTS_LOG_ALL.value, Feature.SIGNING_P256.value})
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

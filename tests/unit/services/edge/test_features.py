# SPDX-License-Identifier: Apache-2.0
"""Features are on unless a tenant's record says otherwise."""

from __future__ import annotations

import pytest

from core.errors import AuthError, ErrorCode
from core.features import Feature
from services.edge.context import Principal
from services.edge.features import DEFAULT_FEATURES, OFF_BY_DEFAULT, effective, require


def test_most_are_on_by_default() -> None:
    """A tenant whose record says nothing has every feature but those that must be asked for."""
    assert effective({}) == DEFAULT_FEATURES == frozenset(feature.value for feature in Feature) - OFF_BY_DEFAULT
    assert {"requests.log_all", "signing.p256"} == OFF_BY_DEFAULT
    assert Principal(tenant="acme", key_id="k").features == DEFAULT_FEATURES


def test_a_record_switches_single_features() -> None:
    """Off means off, on means on, and names of another version change nothing."""
    features = effective({"v2.binary": False, "v1.msgpack": True, "v9.telepathy": True})
    assert features == DEFAULT_FEATURES - {"v2.binary"}


def test_a_call_without_its_feature_is_refused() -> None:
    """The refusal is AUTH_003, names the feature and says who can help."""
    principal = Principal(tenant="acme", key_id="k", features=effective({"v2.repository": False}))
    require(principal, Feature.V2_BINARY)
    with pytest.raises(AuthError, match=r"'v2\.repository' is switched off .* administrator") as caught:
        require(principal, Feature.V2_REPOSITORY)
    assert caught.value.code is ErrorCode.AUTH_FORBIDDEN

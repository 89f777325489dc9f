# SPDX-License-Identifier: Apache-2.0
"""A variant that products are made of."""

from __future__ import annotations

import pytest

from registry_api.models.source import Source


@pytest.fixture
def source() -> Source:
    return Source(
        tenant="acme",
        model="digits",
        version=1,
        variant="onnx-fp32/cpu",
        format="onnx",
        digest="sha256:" + "0" * 64,
        signature_digest="sha256:" + "1" * 64,
    )

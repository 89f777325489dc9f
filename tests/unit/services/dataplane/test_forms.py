# SPDX-License-Identifier: Apache-2.0
"""Which form of a version is served: what was uploaded needs no question, else the registry is asked."""

from __future__ import annotations

from pathlib import Path

import furoshiki
from furoshiki.testing import API_KEY, FakeService
from services.dataplane.forms import AS_UPLOADED, Preference, chosen


async def test_the_uploaded_form_is_served_where_it_runs(tmp_path: Path) -> None:
    """By default nobody is asked; another objective or a format that does not run here is a question."""
    service = FakeService()
    async with furoshiki.AsyncClient(api_key=API_KEY, transport=service, clock=service.clock) as client:
        (tmp_path / "digits.onnx").write_bytes(b"model")
        version = await client.models.push("digits", tmp_path / "digits.onnx")
        assert AS_UPLOADED.takes(version)
        assert not Preference(formats=frozenset({"tflite"})).takes(version)
        fast = Preference(objective="latency")
        assert not fast.takes(version)
        assert await chosen(client, version, fast) is None

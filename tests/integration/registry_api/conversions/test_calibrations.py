# SPDX-License-Identifier: Apache-2.0
"""Calibration data: kept under a name, signed, never changed, verified before it is used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import update

from artifacts.digest import digest_bytes
from artifacts.signing.documents import verify_document
from artifacts.signing.verifier import BundleVerifier
from registry_api.conversions.calibrations.service import MAX_BYTES, CalibrationService
from registry_api.conversions.tables import CalibrationRow
from registry_api.db.session import EVERY_TENANT
from registry_api.settings.worker import WorkerSettings
from tests.integration.registry_api.conversions.conftest import ConvertBench
from tests.integration.registry_api.rest import open_api, tiny_onnx

WHERE = "/models/digits/calibrations"


def npz(rows: int = 3) -> bytes:
    data = io.BytesIO()
    np.savez(data, x=np.ones((rows, 4), dtype=np.float32))
    return data.getvalue()


async def test_a_set_is_signed_kept_and_used(bench: ConvertBench) -> None:
    """The same bytes again are no change; the signature names tenant, model and name; a conversion may use it."""
    await bench.push()
    kept = await bench.api.ok("PUT", f"{WHERE}/mine.npz", content=npz())
    assert (kept["digest"], kept["size"]) == (digest_bytes(npz()), len(npz()))
    assert await bench.api.ok("PUT", f"{WHERE}/mine.npz", content=npz()) == kept
    assert (await bench.api.ok("GET", WHERE))["items"] == [kept]
    platform = bench.api.platform
    found = await bench.api.services.get(CalibrationService).get("default", "digits", "mine.npz")
    signature = await platform.store.read("default", found.signature_digest, limit=1 << 20)
    verify_document(signature, found.claim, BundleVerifier(platform.keys.policy("default"), platform.clock))
    async with bench.converting():
        shown = await bench.convert(calibration="mine.npz")
    assert (shown["state"], shown["calibration"]) == ("succeeded", "mine.npz")


async def test_what_cannot_be_kept_is_refused(bench: ConvertBench) -> None:
    """Other bytes under the name, bytes that are no archive, too many, of a model there is not, a name that is none."""
    await bench.push()
    await bench.api.ok("PUT", f"{WHERE}/mine.npz", content=npz())
    refused = bench.api.refused
    assert await refused("PUT", f"{WHERE}/mine.npz", content=npz(4)) == (409, "STATE_002")
    assert await refused("PUT", f"{WHERE}/other.npz", content=b"\x80\x04 a pickle") == (422, "MODEL_003")
    assert await refused("PUT", f"{WHERE}/other.npz", content=b"PK\x03\x04" + bytes(MAX_BYTES)) == (413, "VALID_003")
    assert await refused("PUT", f"{WHERE}/other.pkl", content=npz()) == (422, "VALID_002")
    assert await refused("PUT", "/models/nothing/calibrations/a.npz", content=npz()) == (404, "MODEL_001")
    unknown: dict[str, Any] = {"json": {"to": "onnx-int8", "calibration": "none.npz"}}
    assert await refused("POST", "/models/digits/versions/1/conversions", **unknown) == (404, "CONVERT_001")


async def test_a_set_that_was_exchanged_is_not_used(bench: ConvertBench) -> None:
    """A row that names other signed data fails the conversion: SIGN_011."""
    await bench.push()
    await bench.api.ok("PUT", f"{WHERE}/mine.npz", content=npz())
    other = await bench.api.ok("PUT", f"{WHERE}/other.npz", content=npz(5))
    async with bench.api.platform.db.write(EVERY_TENANT) as session:
        exchange = update(CalibrationRow).where(CalibrationRow.name == "mine.npz")
        await session.execute(exchange.values(digest=other["digest"], size=other["size"]))
    async with bench.converting():
        shown = await bench.convert(calibration="mine.npz")
    assert (shown["state"], shown["error"]["code"]) == ("failed", "SIGN_011")


async def test_more_than_the_tenant_may_keep_is_refused(tmp_path: Path) -> None:
    """Calibration data and variants count as all that a tenant keeps does: QUOTA_001, and nothing is added."""
    room = len(tiny_onnx()) + len(npz())
    async with open_api(tmp_path / "home", limits={"tenant_bytes": room}) as api:
        bench = ConvertBench(api=api, home=tmp_path / "home", own=WorkerSettings())
        await bench.push()
        kept = await api.ok("PUT", f"{WHERE}/mine.npz", content=npz())
        assert await api.refused("PUT", f"{WHERE}/other.npz", content=npz(5)) == (429, "QUOTA_001")
        assert (await api.ok("GET", WHERE))["items"] == [kept]
        async with bench.converting(tenant_bytes=room - 1):
            shown = await bench.convert()
        assert (shown["state"], shown["error"]["code"]) == ("failed", "QUOTA_001")
        version = await api.ok("GET", "/models/digits/versions/1")
        assert [variant["source"] for variant in version["variants"]] == [True]

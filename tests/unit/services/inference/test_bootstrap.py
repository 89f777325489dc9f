# SPDX-License-Identifier: Apache-2.0
"""What the service refuses to start with: a bundle that was tampered with, settings that do not fit, an open door."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.testing import refused, trust
from core.errors import ErrorCode
from runners.testing import request_of
from services.dataplane.catalog.registry import RegistryCatalog
from services.edge.context import Principal
from services.inference.bootstrap import _batch_limits, build, preflight
from services.inference.settings import InferenceSettings

# mypy reads conftest fixtures by name only; their type is told here.
Served = Any
Tamper = Callable[[Served], object]
ROOT = Path(__file__).resolve().parents[4]


def flip(path: Path, at: int) -> None:
    """Changes one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def flip_after(path: Path, mark: bytes) -> None:
    """Changes one bit of the byte behind ``mark``."""
    flip(path, path.read_bytes().index(mark) + len(mark))


def link(path: Path) -> None:
    """Moves a file away and leaves a link to it."""
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def signed_by_another(served: Served) -> None:
    signature = sign_manifest(served.bundle.manifest, Ed25519Signer.generate())
    (served.folder / SIGNATURE_NAME).write_bytes(signature)


def expired(served: Served) -> None:
    policy = served.bundle.policy
    key = replace(policy.keys[0], not_after=served.bundle.manifest.created_at + timedelta(seconds=1))
    served.trust(replace(policy, keys=(key,)))


def revoked(served: Served, **what: frozenset[str]) -> None:
    served.trust(replace(served.bundle.policy, **what))


TAMPERED: dict[str, tuple[Tamper, ErrorCode]] = {
    "model byte": (lambda s: flip(s.folder / "model.onnx", 20), ErrorCode.DIGEST_MISMATCH),
    "asset byte": (lambda s: flip(s.folder / "assets/labels.txt", 0), ErrorCode.DIGEST_MISMATCH),
    "model longer": (lambda s: (s.folder / "model.onnx").open("ab").write(b"\0"), ErrorCode.DIGEST_MISMATCH),
    "manifest byte": (lambda s: flip_after(s.folder / MANIFEST_NAME, b'"accuracy":"0.9'), ErrorCode.SIGNATURE_INVALID),
    "manifest syntax": (lambda s: flip(s.folder / MANIFEST_NAME, 0), ErrorCode.MANIFEST_INVALID),
    "manifest empty": (lambda s: (s.folder / MANIFEST_NAME).write_bytes(b""), ErrorCode.MANIFEST_INVALID),
    "manifest absent": (lambda s: (s.folder / MANIFEST_NAME).unlink(), ErrorCode.FILE_MISSING),
    "manifest link": (lambda s: link(s.folder / MANIFEST_NAME), ErrorCode.PATH_UNSAFE),
    "signature byte": (lambda s: flip_after(s.folder / SIGNATURE_NAME, b'"sig":"'), ErrorCode.SIGNATURE_INVALID),
    "signature empty": (lambda s: (s.folder / SIGNATURE_NAME).write_bytes(b""), ErrorCode.SIGNATURE_INVALID),
    "signature absent": (lambda s: (s.folder / SIGNATURE_NAME).unlink(), ErrorCode.SIGNATURE_MISSING),
    "another signer": (signed_by_another, ErrorCode.SIGNER_UNTRUSTED),
    "trusted key byte": (
        lambda s: flip_after(s.trust_dir / "acme.json", b"BEGIN PUBLIC KEY-----\\n"),
        ErrorCode.SIGNER_UNTRUSTED,
    ),
    "another's key": (lambda s: s.trust(trust(Ed25519Signer.generate())), ErrorCode.SIGNER_UNTRUSTED),
    "no policy": (lambda s: (s.trust_dir / "acme.json").unlink(), ErrorCode.SIGNER_UNTRUSTED),
    "expired key": (expired, ErrorCode.SIGNATURE_EXPIRED),
    "revoked key": (lambda s: revoked(s, revoked_keys=frozenset({s.bundle.signer.key_id})), ErrorCode.REVOKED),
    "revoked digest": (
        lambda s: revoked(s, revoked_digests=frozenset({s.bundle.manifest.digest})),
        ErrorCode.REVOKED,
    ),
    "extra file": (lambda s: (s.folder / "extra.py").write_bytes(b"import os"), ErrorCode.FILE_UNEXPECTED),
    "absent file": (lambda s: (s.folder / "assets/labels.txt").unlink(), ErrorCode.FILE_MISSING),
    "model link": (lambda s: link(s.folder / "model.onnx"), ErrorCode.PATH_UNSAFE),
    "extra link": (lambda s: (s.folder / "extra").symlink_to("/etc/passwd"), ErrorCode.PATH_UNSAFE),
    "no bundle": (lambda s: s.folder.rename(s.folder.parent / "gone"), ErrorCode.FILE_MISSING),
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_a_tampered_bundle_is_refused(environment: Served, name: str) -> None:
    """Whatever was changed, the supervisor's check and the worker's load both refuse it with the code that names it."""
    tamper, code = TAMPERED[name]
    tamper(environment)
    settings = InferenceSettings.read()
    with refused(code):
        preflight(settings)
    with refused(code):
        await build(settings)


async def test_an_untouched_bundle_is_served(environment: Served) -> None:
    """The same bundle, untouched, passes the check and answers."""
    settings = InferenceSettings.read()
    preflight(settings)
    parts = await build(settings)
    principal = await parts.authenticator.authenticate({})
    assert principal == Principal(tenant="acme", key_id="open")
    described = await parts.plane.describe(principal, "digits", "3")
    assert (described.digest, described.key_id) == (
        environment.bundle.manifest.digest,
        environment.bundle.signer.key_id,
    )
    assert await parts.plane.ready()
    await parts.plane.close()


async def test_the_bytes_checked_are_the_bytes_loaded(environment: Served) -> None:
    """A model replaced on disk after it was loaded changes nothing."""
    parts = await build(InferenceSettings.read())
    (environment.folder / "model.onnx").write_bytes(b"replaced")
    loaded = await parts.plane._catalog.acquire(Principal(tenant="acme", key_id="k"), "digits", None)
    result = await loaded.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))
    assert result["y"].tolist() == [[2, 2]]
    await parts.plane.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"FUROSHIKI_AUTH__MODE": "api_key"}, "FUROSHIKI_REGISTRY__URL"),
        (
            {"FUROSHIKI_SOURCE": "registry", "FUROSHIKI_REGISTRY__API_KEY_FILE": "/dev/null"},
            "FUROSHIKI_REGISTRY__URL",
        ),
        (
            {"FUROSHIKI_SOURCE": "registry", "FUROSHIKI_REGISTRY__URL": "http://127.0.0.1:9"},
            "FUROSHIKI_REGISTRY__API_KEY_FILE",
        ),
        (
            {"FUROSHIKI_REGISTRY__URL": "http://127.0.0.1:9", "FUROSHIKI_REGISTRY__API_KEY_FILE": "/absent/key"},
            "FUROSHIKI_REGISTRY__API_KEY_FILE",
        ),
    ],
    ids=["api_key without registry", "registry without url", "registry without key", "absent key file"],
)
async def test_a_missing_setting_is_named(
    environment: Served, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], named: str
) -> None:
    """INIT_002 names the variable that is missing or wrong."""
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with refused(ErrorCode.SETTING_INVALID, named):
        await build(InferenceSettings.read())


@pytest.mark.parametrize(("source", "inline"), [("bundle", True), ("registry", False)])
async def test_tenants_do_not_share_the_event_loop(
    environment: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, inline: bool
) -> None:
    """Batches may run on the event loop only where one tenant has the process to itself, whatever was set."""
    monkeypatch.setenv("FUROSHIKI_SOURCE", source)
    monkeypatch.setenv("FUROSHIKI_BATCHING__INLINE_BELOW_S", "0.001")
    limits = _batch_limits(InferenceSettings.read())
    assert limits.inline_below_s == (0.001 if inline else 0)
    assert limits.max_rows == 64


async def test_a_service_of_the_registry_is_wired(
    environment: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a registry the parts carry the settings; downloads lie in the home folder if there is one."""
    key = tmp_path / "service.key"
    key.write_text("service-key")
    for name, value in {
        "SOURCE": "registry",
        "HOME": str(tmp_path),
        "REGISTRY__URL": "http://127.0.0.1:9",
        "REGISTRY__API_KEY_FILE": str(key),
        "REGISTRY__PATIENCE_S": "0.5",
        "CACHE__LOADS": "3",
        "LIMITS__OUTPUT_BYTES": "1000",
        "METRICS__OPEN": "true",
    }.items():
        monkeypatch.setenv(f"FUROSHIKI_{name}", value)
    parts = await build(InferenceSettings.read())
    catalog = parts.plane._catalog
    assert isinstance(catalog, RegistryCatalog)
    fetcher = catalog._fetcher
    assert (catalog._gateway._patience_s, fetcher._loads._value, fetcher._scratch) == (0.5, 3, Path("/dev/shm"))
    assert (parts.limits.output_bytes, parts.limits.json_bytes, parts.metrics_open) == (1000, 4 * 2**20, True)
    assert catalog._cache._on_close == parts.plane._meters.forget
    await parts.plane.close()
    monkeypatch.setenv("FUROSHIKI_CACHE__SCRATCH", "home")
    monkeypatch.setenv("FUROSHIKI_HOME", str(tmp_path / "absent"))
    absent = await build(InferenceSettings.read())
    assert isinstance(absent.plane._catalog, RegistryCatalog)
    assert absent.plane._catalog._fetcher._scratch is None
    await absent.plane.close()


OPEN_DOOR = """
import socket
from core.errors import FuroshikiError
from services.inference.admission import _require_loopback

for family, address in [
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.8.9.1"), (socket.AF_INET6, "::1"),
    (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"),
]:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        try:
            _require_loopback()
            print(address, "accepted")
        except FuroshikiError as error:
            print(address, error.code, address in error.message)
"""


def test_an_open_service_listens_on_loopback_only() -> None:
    """Open mode is accepted on loopback addresses of either family and refused, naming the address, on any other."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN_DOOR], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == [
        "127.0.0.1 accepted",
        "127.8.9.1 accepted",
        "::1 accepted",
        "0.0.0.0 INIT_001 True",
        ":: INIT_001 True",
    ], done.stderr

# SPDX-License-Identifier: Apache-2.0
"""A whole registry process whose blobs are in a real object store, encrypted: configured by the environment alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.components.rgw import ObjectStore
from furoshiki import Client, verify
from tests.integration.artifacts.stores.s3 import new_bucket
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import split_onnx

MIB = 1 << 20


def test_a_registry_on_s3(rgw: ObjectStore, tmp_path: Path) -> None:
    """A model of several parts is pushed, survives kill -9, is fetched, verified, rewrapped and checked."""
    source = tmp_path / "model"
    source.mkdir()
    for name, data in split_onnx("weights.bin").items():
        (source / name).write_bytes(data)
    (source / "large.bin").write_bytes(os.urandom(12 * MIB))
    environment = {
        **rgw.environment(new_bucket(rgw), "registry"),
        "FUROSHIKI_STORE__ENCRYPTION": "on",
        "FUROSHIKI_UPLOADS__PART_BYTES": str(5 * MIB),
    }
    home = tmp_path / "home"
    with RegistryProcess(home, **environment) as process:
        with Client(process.url, api_key=process.admin_key) as client:
            assert client.models.push("large", source).ref == "default/large@1"
            process.kill()
            process.restart()
            bundle = client.versions.download("large", 1, tmp_path / "out")
            verify(bundle, client.trust(), model="large", version=1, kind="model")
        assert (bundle / "large.bin").read_bytes() == (source / "large.bin").read_bytes()
        assert "furoshiki-local-secret" not in process.log
    assert not (home / "blobs").exists()
    for arguments, told in (
        (("rewrap", "--rotate"), "5 blobs looked at, 5 rewrapped"),
        (("fsck", "--deep"), "0 missing"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "registry_api", *arguments],
            env={**os.environ, **environment, "FUROSHIKI_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert told in done.stdout

# SPDX-License-Identifier: Apache-2.0
"""How an image starts and stops, and as whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.oci.media import LAYER_TAR_GZIP
from registry_api.images.builders.configuration import START, configuration
from registry_api.images.builders.interface import BuiltLayer
from registry_api.images.builders.layer import Entry, write_layer


def _layer(tmp_path: Path) -> BuiltLayer:
    return write_layer(Layout.create(tmp_path / "layout"), "code", [Entry(path="a", content=b"")])


def test_a_configuration_is_what_the_specification_asks(tmp_path: Path) -> None:
    """nonroot, a list to start, a signal to stop, the layers' ids, and a history entry for each."""
    layer = _layer(tmp_path)
    data = configuration(
        Platform(architecture="arm64", variant="v8"),
        [layer],
        created=datetime(2026, 1, 1, tzinfo=UTC),
        labels={"a": "b"},
        environment={"B": "2", "A": "1"},
        start=START,
    )
    found = json.loads(data)
    assert found["config"]["User"] == "65532:65532"
    assert found["config"]["Entrypoint"] == ["/usr/bin/python3", "-m", "bentoml", "serve", "/home/bentoml/bento"]
    assert found["config"]["StopSignal"] == "SIGTERM"
    assert found["config"]["Env"] == ["A=1", "B=2"]
    assert (found["architecture"], found["variant"], found["os"]) == ("arm64", "v8", "linux")
    assert found["rootfs"] == {"type": "layers", "diff_ids": [layer.diff_id]}
    assert [entry["created_by"] for entry in found["history"]] == ["furoshiki: code"]


def test_a_layer_is_described_by_its_blob(tmp_path: Path) -> None:
    """Media type, digest and size are those of the compressed blob."""
    layer = _layer(tmp_path)
    assert isinstance(layer.blob, Descriptor)
    assert layer.blob.media_type == LAYER_TAR_GZIP
    assert layer.blob.digest != layer.diff_id

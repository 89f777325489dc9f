# SPDX-License-Identifier: Apache-2.0
"""A commit names the images of an environment, by digest, and the chart takes the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.gitops.__main__ import UNCHANGED, main
from deploy.gitops.images import HEAD, NotAnImage, parse
from deploy.helm.rendering import render
from tests.unit.deploy.manifests import DEPLOY

STAGING = DEPLOY / "gitops" / "staging"
DIGEST = "sha256:" + "a" * 64


def merged(left: object, right: object) -> object:
    """Values files as Helm merges them."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left | {key: merged(left.get(key), value) for key, value in right.items()}
    return right


@pytest.fixture
def file(tmp_path: Path) -> Path:
    copy = tmp_path / "images.yaml"
    copy.write_text((STAGING / "images.yaml").read_text())
    return copy


def test_it_changes_what_is_named(file: Path) -> None:
    """One deployment and the registry get new images; the rest stays, and the file says who writes it."""
    before = yaml.safe_load(file.read_text())
    status = main([str(file), f"all=ghcr.io/a/inference@{DIGEST}"])
    after = yaml.safe_load(file.read_text())

    assert status == 0
    assert after["image"] == before["image"]
    assert after["deployments"]["all"]["image"] == {"repository": "ghcr.io/a/inference", "digest": DIGEST}
    assert file.read_text().startswith(HEAD)


def test_saying_it_again_changes_nothing(file: Path) -> None:
    """The second time the exit code says that there is nothing to commit."""
    named = [str(file), f"registry=ghcr.io/a/registry@{DIGEST}"]

    assert (main(named), main(named)) == (0, UNCHANGED)


@pytest.mark.parametrize("text", ["registry=ghcr.io/a/registry:latest", "ghcr.io/a@" + DIGEST, "a=b@sha256:12", ""])
def test_a_tag_is_refused(file: Path, text: str) -> None:
    """Anything but a digest is refused, and nothing is written."""
    before = file.read_text()

    assert main([str(file), text]) == 2
    assert file.read_text() == before
    with pytest.raises(NotAnImage):
        parse(text)


def test_the_committed_file_is_as_the_program_writes_it(file: Path) -> None:
    """Nobody has edited it by hand: naming what it names changes no byte."""
    values = yaml.safe_load(file.read_text())
    image = values["image"]

    assert main([str(file), f"registry={image['repository']}@{image['digest']}"]) == UNCHANGED


def test_staging_renders() -> None:
    """The two values files of the Argo CD application give manifests, with its paths and hooks that Argo CD knows."""
    application = yaml.safe_load((DEPLOY / "gitops" / "application.yaml").read_text())
    chart = DEPLOY.parent / application["spec"]["source"]["path"]
    values: object = {}
    for name in application["spec"]["source"]["helm"]["valueFiles"]:
        values = merged(values, yaml.safe_load((chart / name).read_text()))
    assert isinstance(values, dict)
    kinds = {document["kind"] for document in render(values)}

    assert {"Deployment", "Job", "ServiceMonitor", "PrometheusRule", "NetworkPolicy"} <= kinds

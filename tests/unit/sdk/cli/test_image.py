# SPDX-License-Identifier: Apache-2.0
"""``furo image``: by the API, and by the modules of the installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.supply.testing import Described, make_image
from deploy.local.stack import free_port
from furoshiki.cli.exits import Exit
from tests.unit.sdk.cli.conftest import Run


@pytest.fixture
def built(run: Run, model_file: Path) -> str:
    """The id of a finished build."""
    assert run("push", str(model_file), "--name", "digits").code == 0
    return str(run("build", "digits@1", "--wait", "-o", "json").json["id"])


@pytest.fixture
def described(tmp_path: Path) -> Described:
    """A signed image in a layout, and its policy beside it."""
    made = make_image(tmp_path / "signed")
    (tmp_path / "trust.json").write_bytes(made.policy.to_bytes())
    return made


def test_an_image_is_built_shown_and_listed(run: Run, built: str) -> None:
    """Of the newest build of a version or model, or of a build by its id; --follow shows the log on stderr."""
    ran = run("image", "build", "digits@1", "--follow")
    assert (ran.code, built in ran.err, "one\ntwo\n" in ran.err) == (Exit.OK, True, True)
    assert "buildah is not installed" in ran.out
    assert run("image", "build", built, "--wait", "-o", "json").json["state"] == "succeeded"
    assert run("image", "build", built).out.split()[:4] == ["Image", "image-3", "State", "queued"]
    assert [one["id"] for one in run("image", "list", "-o", "json").json] == ["image-3", "image-2", "image-1"]
    shown = run("image", "show", "image-1").out
    assert shown.split()[:4] == ["LAYER", "BYTES", "CACHED", "DIGEST"]
    assert "linux/amd64" in shown
    assert run("image", "build", "digits", "-o", "json").json["build_id"] == built


def test_a_version_without_a_build_is_said(run: Run, model_file: Path) -> None:
    """With what to do."""
    assert run("push", str(model_file), "--name", "digits").code == 0
    ran = run("image", "build", "digits@1")
    assert (ran.code, "furo build digits@1 --wait" in ran.err) == (Exit.NOT_FOUND, True)


def test_an_image_is_downloaded_and_pushed_from_there(run: Run, built: str, tmp_path: Path) -> None:
    """A second download fetches nothing; a registry that is away is exit code 6."""
    assert run("image", "build", built, "--wait").code == 0
    folder = str(tmp_path / "layout")
    assert run("image", "download", "image-1", folder, "-o", "json").json["kept"] == 0
    assert run("image", "download", "image-1", folder, "-o", "json").json["fetched"] == 0
    ran = run("image", "push", str(tmp_path / "nowhere"), "registry.test/a:1")
    assert (ran.code, "CLIENT_004" in ran.err) == (Exit.REQUEST, True)


def test_a_layout_is_verified(run: Run, described: Described, tmp_path: Path) -> None:
    """The chain is printed; as JSON with ``--output json``."""
    policy = str(tmp_path / "trust.json")
    ran = run("image", "verify", str(described.layout.root), "--policy", policy, "--expect", "digits@3")
    assert (ran.code, ran.out.splitlines()) == (Exit.OK, list(described.verify().lines()))
    chosen = ("--policy", policy, "-o", "json", "--image")
    told = run("image", "verify", str(described.layout.root), *chosen, described.image.digest).json
    assert told["image"] == described.image.digest
    assert run("image", "verify", str(described.layout.root), *chosen, "other").code == Exit.NOT_FOUND


def test_a_folder_that_is_not_there_is_said(run: Run, described: Described, tmp_path: Path) -> None:
    """And not taken for an image in a registry, nor for a version."""
    policy = ("--policy", str(tmp_path / "trust.json"))
    for command in (
        ("image", "verify", "./nowhere"),
        ("image", "push", "./nowhere", "registry.test/a:1"),
        ("verify", "/nowhere"),
    ):
        ran = run(*command, *(policy if "verify" in command else ()))
        assert (ran.code, "There is no folder" in ran.err) == (Exit.REQUEST, True)


def test_a_refusal_keeps_its_code(run: Run, described: Described, tmp_path: Path) -> None:
    """On stderr as of every command; the exit code is that of refused bytes."""
    described.flip(described.layout.manifest(described.image).layers[0])
    ran = run("image", "verify", str(described.layout.root), "--policy", str(tmp_path / "trust.json"), "-o", "json")
    assert (ran.code, ran.out) == (Exit.SIGNATURE, "")
    assert json.loads(ran.err.splitlines()[-1])["error"]["code"] == "SIGN_004"


def test_an_image_by_its_id_is_downloaded_to_be_verified(
    run: Run, built: str, described: Described, tmp_path: Path
) -> None:
    """The fake signs no images, and that is what is found."""
    assert run("image", "build", built, "--wait").code == 0
    ran = run("image", "verify", "image-1", "--policy", str(tmp_path / "trust.json"))
    assert (ran.code, "SIGN_001" in ran.err) == (Exit.SIGNATURE, True)


def test_a_registry_that_is_away_is_worth_another_try(
    run: Run, described: Described, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong reference is not, nor is a login without a password."""
    monkeypatch.delenv("FUROSHIKI_OCI_PASSWORD", raising=False)
    layout = str(described.layout.root)
    assert run("image", "pull", "digits", str(tmp_path / "x")).code == Exit.REQUEST
    ran = run("image", "push", layout, f"127.0.0.1:{free_port()}/a:1", "--username", "me")
    assert (ran.code, "FUROSHIKI_OCI_PASSWORD" in ran.err) == (Exit.REQUEST, True)

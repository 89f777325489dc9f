# SPDX-License-Identifier: Apache-2.0
"""What command lines that reach image registries share."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from artifacts.digest import digest_bytes
from artifacts.oci.access import Access, Credentials
from artifacts.oci.command import PASSWORD, Reach, RefusingGroup, Telling, layout_at, parse_platform, reaching
from artifacts.oci.copying import Moved
from artifacts.oci.descriptor import Platform
from artifacts.oci.reference import parse_reference
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import image

IMAGE = parse_reference("registry.test/a:1")
LARGE = 1 << 30


@click.group(cls=RefusingGroup)
def main() -> None:
    """A command line."""


@main.command("reach")
@reaching
def reach_command(reach: Reach) -> None:
    """Prints what was given."""
    click.echo(repr(reach.access(IMAGE)))


@main.command("open")
@click.argument("path")
def open_command(path: str) -> None:
    """Opens a file."""
    Path(path).read_bytes()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of whoever runs the tests."""
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    for name in ("REGISTRY_AUTH_FILE", PASSWORD):
        monkeypatch.delenv(name, raising=False)


def reach(**given: object) -> Reach:
    """How a registry is reached, with ``given`` options."""
    fields = {"username": None, "password_stdin": False, "ca_file": None, "plain_http": False}
    return Reach(**{**fields, **given})  # type: ignore[arg-type]


def test_without_a_login_a_registry_is_asked_as_a_stranger() -> None:
    """With the options of the connection."""
    assert reach(plain_http=True, ca_file=Path("ca.pem")).access(IMAGE) == Access(
        plain_http=True, ca_file=Path("ca.pem")
    )


def test_a_password_comes_from_stdin_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdin first; the end of its line is not part of it."""
    monkeypatch.setenv(PASSWORD, "of the environment")
    found = reach(username="me").access(IMAGE).credentials
    assert found == Credentials(username="me", password="of the environment")
    stdin = io.TextIOWrapper(io.BytesIO(b"of stdin\r\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    found = reach(username="me", password_stdin=True).access(IMAGE).credentials
    assert found == Credentials(username="me", password="of stdin")


def test_half_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a password, a password without a user."""
    with refused(ErrorCode.INVALID_FIELD, PASSWORD):
        reach(username="me").access(IMAGE)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"secret")))
    with refused(ErrorCode.INVALID_FIELD, "--username"):
        reach(password_stdin=True).access(IMAGE)


def test_a_refusal_is_one_line_and_status_3(tmp_path: Path) -> None:
    """Of ours or of the system's; a password is never shown."""
    half = CliRunner().invoke(main, ["reach", "--username", "me"])
    assert (half.exit_code, json.loads(half.stderr)["code"]) == (3, "VALID_002")
    gone = CliRunner().invoke(main, ["open", str(tmp_path / "gone")])
    assert (gone.exit_code, json.loads(gone.stderr)["code"]) == (3, "STORE_001")
    assert "gone" in json.loads(gone.stderr)["message"]
    whole = CliRunner().invoke(main, ["reach", "--username", "me", "--password-stdin"], input="s3cret\n")
    assert (whole.exit_code, "s3cret" in whole.output) == (0, False)


def test_progress_is_a_line_for_a_blob_and_ten_for_a_large_one(capsys: pytest.CaptureFixture[str]) -> None:
    """However often it is told."""
    telling, small, large = Telling(), digest_bytes(b"small"), digest_bytes(b"large")
    for there in (0, 5, 10, 10):
        telling(Moved(digest=small, there=there, size=10))
    telling(Moved(digest=digest_bytes(b""), there=0, size=0))
    assert capsys.readouterr().err.count("100 %\n") == 2
    for at in range(1001):
        telling(Moved(digest=large, there=at * LARGE // 1000, size=LARGE))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[-2] for line in lines] == [str(tenth * 10) for tenth in range(11)]


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        (None, None),
        ("linux/amd64", Platform(architecture="amd64")),
        ("linux/arm64/v8", Platform(architecture="arm64", variant="v8")),
    ],
)
def test_platforms_are_read(text: str | None, platform: Platform | None) -> None:
    """As docker writes them."""
    context = click.Context(main)
    assert parse_platform(context, click.Option(["--platform"]), text) == platform


@pytest.mark.parametrize("text", ["amd64", "", "linux/", "linux/arm64/v8/x"])
def test_other_platforms_are_wrong_usage(text: str) -> None:
    """With an example."""
    with pytest.raises(click.BadParameter, match="linux/amd64"):
        parse_platform(click.Context(main), click.Option(["--platform"]), text)


def test_a_layout_is_made_or_gone_on_with(tmp_path: Path) -> None:
    """A folder of other things is neither."""
    written = image(layout_at(tmp_path / "layout"), [b"one"])
    assert layout_at(tmp_path / "layout").index().manifests[0].digest == written.digest
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    with refused(ErrorCode.RESOURCE_EXISTS):
        layout_at(tmp_path / "other")

# SPDX-License-Identifier: Apache-2.0
"""Exit codes, errors as text and as JSON, login, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import errors
from furoshiki.cli.exits import Exit, exit_of
from furoshiki.config import Config, read_config
from furoshiki.testing import API_KEY, FakeService, loopback

Run: TypeAlias = Callable[..., Any]  # the fixture


def test_help_documents_every_exit_code(run: Run) -> None:
    """``furo --help`` lists each exit code with its meaning."""
    text = run("--help").out
    for code in Exit:
        assert f"{int(code):>3}  {code.text}" in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequest, 3),
        (errors.Conflict, 3),
        (errors.ConfigError, 3),
        (errors.AuthError, 4),
        (errors.NotFound, 5),
        (errors.Overloaded, 6),
        (errors.Unavailable, 6),
        (errors.DeadlineExceeded, 6),
        (errors.SignatureRefused, 7),
        (errors.JobFailed, 8),
        (errors.ServerFault, 9),
    ],
)
def test_every_kind_of_error_has_its_code(error: type[errors.FuroshikiError], code: int) -> None:
    """Exit codes follow the error tree."""
    assert exit_of(error("X_001", "m")) == code


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "AUTH_002", 4),
        (404, "MODEL_001", 5),
        (409, "STATE_001", 3),
        (503, "STORE_001", 6),
        (500, "INTERNAL_001", 9),
    ],
)
def test_errors_are_one_line_without_traceback(
    run: Run, service: FakeService, status: int, code: str, exit_code: int
) -> None:
    """An expected error is one sentence with code and request id on stderr; stdout stays empty."""
    service.fail_next(status, code, times=9)
    ran = run("models")
    assert (ran.code, ran.out) == (exit_code, "")
    assert ran.err.startswith(f"Error: {code}: As told. (request ")
    assert ran.err.count("\n") == 1


def test_errors_are_json_on_request(run: Run) -> None:
    """With ``--output json`` the error is JSON on stderr."""
    ran = run("models", "nope", "--output", "json")
    error = json.loads(ran.err)["error"]
    assert (ran.code, ran.out, error["code"], error["retryable"]) == (5, "", "MODEL_001", False)
    assert error["request_id"]


def test_no_service_is_exit_6(run: Run) -> None:
    """Nothing listening is a failure to try again later."""
    ran = run("models", url="http://127.0.0.1:9", transport=None)
    assert (ran.code, "CLIENT_002" in ran.err) == (6, True)


@pytest.mark.parametrize("arguments", [["nope"], ["push"], ["models", "--nope"], ["versions", "a/b@c"]])
def test_wrong_usage_is_exit_2(run: Run, arguments: list[str]) -> None:
    """Wrong commands, options and references are usage errors."""
    assert run(*arguments).code == 2


@pytest.mark.parametrize("way", ["stdin", "file", "dash"])
def test_login_reads_the_key_and_saves_it_privately(run: Run, service: FakeService, tmp_path: Path, way: str) -> None:
    """The key comes from stdin or a file, is tried, and is saved with mode 0600; it is never printed."""
    (tmp_path / "key").write_text(API_KEY + "\n")
    arguments = {"stdin": [], "file": ["--key-file", str(tmp_path / "key")], "dash": ["--key-file", "-"]}[way]
    stdin = None if way == "file" else API_KEY + "\n"
    ran = run("login", "--url", "http://127.0.0.1:8800/", *arguments, stdin=stdin, api_key=None)
    path = Path(os.environ["FUROSHIKI_CONFIG"])
    assert ran.code == 0
    assert read_config(path) == Config(api_key=API_KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert API_KEY not in ran.out + ran.err
    assert "acme" in ran.out


def test_login_with_a_wrong_key_saves_nothing(run: Run) -> None:
    """A key that the registry refuses is not saved."""
    ran = run("login", stdin="furo_wrong\n", api_key=None)
    assert (ran.code, "AUTH_002" in ran.err, "furo_wrong" in ran.err) == (4, True, False)
    assert not Path(os.environ["FUROSHIKI_CONFIG"]).exists()


def test_login_takes_no_key_as_an_argument(run: Run) -> None:
    """There is no way to put a key where other processes can see it, and the help says so."""
    assert run("login", "--key", API_KEY).code == 2
    assert run("login", API_KEY).code == 2
    assert run("login", stdin="", api_key=None).code == 2
    assert "never from an argument" in " ".join(run("login", "--help").out.split())


def test_login_warns_of_plain_http(run: Run) -> None:
    """Sending a key over plain HTTP to another machine is remarked on."""
    ran = run("login", "--url", "http://registry.example", stdin=API_KEY, api_key=None)
    assert "Warning: http://registry.example is plain HTTP" in ran.err


def test_saved_login_is_used(run: Run) -> None:
    """After a login no other configuration is needed."""
    run("login", stdin=API_KEY, api_key=None)
    assert run("whoami", "-o", "json", api_key=None).json["tenant"] == "acme"


def test_broken_config_is_exit_3(run: Run) -> None:
    """A configuration that cannot be used is reported, not a traceback."""
    path = Path(os.environ["FUROSHIKI_CONFIG"])
    path.parent.mkdir()
    path.write_text("{")
    path.chmod(0o600)
    ran = run("whoami", api_key=None)
    assert (ran.code, "CLIENT_001" in ran.err) == (3, True)


def test_an_empty_key_in_the_environment_is_exit_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent under the saved login instead."""
    run("login", stdin=API_KEY, api_key=None)
    monkeypatch.setenv("FUROSHIKI_API_KEY", "")
    ran = run("whoami", api_key=None)
    assert (ran.code, ran.out, "FUROSHIKI_API_KEY is set but empty" in ran.err) == (3, "", True)


class Interrupting(FakeService):
    """Interrupts the process ``pid`` when it is called, and lets it wait."""

    pid = 0

    def answer(self, call: Any) -> Any:
        os.kill(self.pid, signal.SIGINT)
        with suppress(ChildProcessError):  # it has ended, and the test has seen it
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        return super().answer(call)


def test_ctrl_c_is_exit_130(tmp_path: Path) -> None:
    """Ctrl-C ends the real ``furo`` process at once with 130 and one word, without a traceback."""
    service = Interrupting()
    with loopback(service) as url:
        environment = {"FUROSHIKI_URL": url, "FUROSHIKI_INFERENCE_URL": url, "FUROSHIKI_API_KEY": API_KEY, "PATH": ""}
        child = subprocess.Popen(
            [sys.executable, "-c", START],
            env=environment | {"FUROSHIKI_CONFIG": str(tmp_path / "none")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        service.pid = child.pid
        out, err = child.communicate("go\n", timeout=30)
    assert (child.returncode, out, err) == (130, "", "Interrupted.\n")


# A shell's background job ignores Ctrl-C, and so do its children; a terminal's does not.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stdin.readline()
from furoshiki.cli import main
sys.argv = ["furo", "models"]
main()
"""

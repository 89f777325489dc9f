# SPDX-License-Identifier: Apache-2.0
"""What a process of the sandbox gives up. Each test gives it up in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(code: str) -> str:
    """Runs Python code in a process of its own; what it printed."""
    program = "from converters import isolation\n" + textwrap.dedent(code)
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return ended.stdout.strip()


def test_sockets_are_refused() -> None:
    """After the filter a new socket fails with EACCES, a local one too, and so does io_uring; a pair of its own does not."""
    found = run("""
        import ctypes, errno, os, socket
        print(isolation.refuse_sockets())
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            try:
                socket.socket(family)
            except OSError as error:
                print(errno.errorcode[error.errno])
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(425, 1, ctypes.create_string_buffer(120)), errno.errorcode[ctypes.get_errno()])
        socket.socketpair()
        print("pair")
    """)
    assert found.split("\n") == ["None", "EACCES", "EACCES", "EACCES", "-1 EACCES", "pair"]


def test_no_address_is_reached() -> None:
    """Whatever way was permitted, a listener of the machine is not reached from within."""
    found = run("""
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        print(isolation.leave_network())
        try:
            socket.create_connection(listener.getsockname(), timeout=5)
        except OSError:
            print("unreachable")
    """)
    how, reached = found.split("\n")
    assert how.startswith("none (")
    assert reached == "unreachable"


def test_memory_and_files_are_bounded() -> None:
    """More memory or a larger file than allowed fails with an exception, not with a silent death."""
    found = run("""
        import errno, tempfile
        isolation.limit(memory_bytes=1 << 28, cpu_seconds=60, file_bytes=1 << 16)
        try:
            bytearray(1 << 29)
        except MemoryError:
            print("memory")
        with tempfile.TemporaryFile() as file:
            try:
                file.write(bytes(1 << 20))
                file.flush()
            except OSError as error:
                print(errno.errorcode[error.errno])
            file.seek(0)
            file.truncate(0)
    """)
    assert found.split("\n")[0] == "memory"
    assert "EFBIG" in found


def test_a_process_ends_with_its_parent() -> None:
    """The kernel kills what was told to die with its parent, even if the parent is killed itself."""
    found = run("""
        import os, signal, subprocess, sys, time
        middle = subprocess.Popen([sys.executable, "-c",
            "import subprocess, sys, time\\n"
            "from converters.isolation import die_with_parent\\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], preexec_fn=die_with_parent)\\n"
            "print(child.pid, flush=True)\\n"
            "time.sleep(60)"], stdout=subprocess.PIPE)
        child = int(middle.stdout.readline())
        middle.kill()
        middle.wait()
        end = time.monotonic() + 10
        def runs():
            try:
                return open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
            except FileNotFoundError:
                return False
        while runs() and time.monotonic() < end:
            pass
        print("runs" if runs() else "ended")
    """)
    assert found == "ended"

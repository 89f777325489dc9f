# SPDX-License-Identifier: Apache-2.0
"""The how-to of the short form is executed: what it shows works as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from runners.testing import FakeRunner
from services.testing import listening, parts

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "short-form.md"


async def test_the_page_works(capsys: Any) -> None:
    """Its blocks run one after another against a service and print results and one error."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    async with listening(parts(FakeRunner(width=4))) as port:
        code = code.replace("127.0.0.1:3000", f"127.0.0.1:{port}").replace('"iris"', '"fake"')
        await asyncio.to_thread(exec, compile(code, PAGE.name, "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "{'y': [[11.2, 8.0, 3.8, 1.4]]}"
    assert printed[1:3] == ["[[11.2  8.   3.8  1.4]]", "[1, 4]"]
    assert printed[3].startswith("400 TENSOR_003 Input 'x' of ")

# SPDX-License-Identifier: Apache-2.0
"""``furo`` as a person runs it: a process of its own, told by its environment where the registry is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from deploy.local.stack import LocalStack
from tests.runs import Ran


class Furo:
    """Runs ``furo`` on the services of a stack."""

    def __init__(self, stack: LocalStack) -> None:
        self._environment = {
            **os.environ,
            "FUROSHIKI_URL": stack.registry_url,
            "FUROSHIKI_INFERENCE_URL": stack.inference_url or "",
            "FUROSHIKI_API_KEY": stack.admin_key,
            "COLUMNS": "400",
        }

    def __call__(self, *arguments: str) -> Ran:
        """One run, however it ends."""
        command = [sys.executable, "-m", "furoshiki.cli", *arguments]
        ran = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=180, check=False)
        return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    def ok(self, *arguments: str) -> Any:
        """What a run that must succeed answers, from its JSON."""
        ran = self(*arguments, "-o", "json")
        assert ran.code == 0, (arguments, ran.err)
        return ran.json

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Exit code and error code of a run that must not succeed."""
        ran = self(*arguments, "-o", "json")
        assert ran.code != 0, (arguments, ran.out)
        return ran.code, str(json.loads(ran.err.splitlines()[-1])["error"]["code"])

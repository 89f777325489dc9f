# SPDX-License-Identifier: Apache-2.0
"""``furo`` on the fake service, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner

from furoshiki import Client
from furoshiki.cli import furo
from furoshiki.cli.app import App
from furoshiki.testing import API_KEY, FakeService
from tests.runs import Ran

Run = Callable[..., Ran]


@pytest.fixture
def run(service: FakeService) -> Run:
    """Runs ``furo`` with arguments; gives exit code, stdout and stderr."""

    def ran(*arguments: str, stdin: str | bytes | None = None, api_key: str | None = API_KEY, **client: Any) -> Ran:
        defaults: dict[str, Any] = {"transport": service, "clock": service.clock}
        options = defaults | client
        if api_key is not None:
            options["api_key"] = api_key
        result = CliRunner().invoke(furo, list(arguments), obj=App(connect=partial(Client, **options)), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(code=result.exit_code, out=result.stdout, err=result.stderr)

    return ran

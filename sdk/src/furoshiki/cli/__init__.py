# SPDX-License-Identifier: Apache-2.0
"""``furo``: the command line. One file per noun or verb; :mod:`furoshiki.cli.app` holds what they share."""

from __future__ import annotations

import itertools
from typing import Final

import click

from furoshiki.cli.alias import alias
from furoshiki.cli.app import FuroGroup
from furoshiki.cli.approve import approvals, approve
from furoshiki.cli.audit import audit
from furoshiki.cli.build import build, builds
from furoshiki.cli.card import card, tag
from furoshiki.cli.convert import convert
from furoshiki.cli.deletion import model, version
from furoshiki.cli.deploy import deploy, stop
from furoshiki.cli.deployments import deployments
from furoshiki.cli.devices import devices
from furoshiki.cli.exits import Exit
from furoshiki.cli.gates import gates
from furoshiki.cli.image import image
from furoshiki.cli.infer import infer
from furoshiki.cli.jobs import cancel, jobs
from furoshiki.cli.keys import keys
from furoshiki.cli.lineage import lineage
from furoshiki.cli.login import login, logout, whoami
from furoshiki.cli.logs import logs
from furoshiki.cli.models import models
from furoshiki.cli.ps import ps
from furoshiki.cli.push import pull, push
from furoshiki.cli.report import report
from furoshiki.cli.requests import requests
from furoshiki.cli.rollback import deprecate, history, rollback
from furoshiki.cli.search import search
from furoshiki.cli.signing import signing
from furoshiki.cli.stage import stage
from furoshiki.cli.tenants import tenants
from furoshiki.cli.tune import tune
from furoshiki.cli.usage import usage
from furoshiki.cli.verify import trust, verify_command
from furoshiki.cli.versions import versions
from furoshiki.cli.webhooks import webhooks
from furoshiki.version import __version__

_EXIT_CODES: Final = "\n".join(f"  {int(code):>3}  {code.text}" for code in Exit)


@click.group(
    cls=FuroGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nExit codes:\n{_EXIT_CODES}",
)
@click.version_option(__version__, prog_name="furo")
def furo() -> None:
    """Push, sign, build, deploy, verify and run models with Furoshiki.

    Results go to stdout, remarks and progress to stderr. Services and key come from FUROSHIKI_URL,
    FUROSHIKI_INFERENCE_URL and FUROSHIKI_API_KEY, or from what `furo login` saved.
    """


_SECTIONS: Final = {
    "Models and versions": (
        *(push, pull, models, versions, search, card, tag, report, lineage, model, version),
        *(convert, tune),
    ),
    "From version to server": (build, builds, image, deploy, ps, deployments, logs, stop, infer, jobs, cancel),
    "Stages": (stage, gates, approve, approvals, alias, rollback, deprecate, history),
    "Trust and audit": (verify_command, trust, signing, audit),
    "Access": (login, logout, whoami, keys, tenants),
    "Use and events": (requests, usage, webhooks, devices),
}
furo.sections = {heading: tuple(str(command.name) for command in commands) for heading, commands in _SECTIONS.items()}
for _command in itertools.chain.from_iterable(_SECTIONS.values()):
    furo.add_command(_command)


def main() -> None:
    """The entry point of the ``furo`` script."""
    furo()

# SPDX-License-Identifier: Apache-2.0
"""What secrets.sh and roles.sh of the compose file make is what the registry needs, on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.components.postgres import PostgreSQL, postgres
from deploy.local.stack import ROOT

COMPOSE = ROOT / "deploy" / "compose"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server as the image starts it: with its superuser and nothing else."""
    with postgres(tmp_path_factory.mktemp("postgres")) as running:
        running.sql("DROP ROLE furoshiki;\nDROP ROLE furoshiki_app")
        yield running


@pytest.fixture(scope="module")
def secrets(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the secrets, after the roles were made of them; the name "postgres" is this machine's."""
    folder = tmp_path_factory.mktemp("compose")
    for script in ("secrets.sh", "postgres/roles.sh"):
        shutil.copy(COMPOSE / script, folder)
    subprocess.run(["bash", str(folder / "secrets.sh")], check=True)
    secrets = folder / "secrets"
    roles = folder / "roles.sh"
    roles.write_text(roles.read_text().replace("/run/secrets", str(secrets)))
    reached = {"POSTGRES_USER": "postgres", "PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    subprocess.run(["bash", str(roles)], check=True, env={"PATH": os.environ["PATH"], **reached})
    for name in ("database_url", "database_owner_url"):
        url = (secrets / name).read_text().replace("@postgres/", f"@127.0.0.1:{server.port}/")
        (secrets / name).unlink()
        (secrets / name).write_text(url)
    return secrets


def registry(secrets: Path, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the registry with the references of the compose file."""
    environment = {
        "PATH": os.environ["PATH"],
        "FUROSHIKI_HOME": str(home),
        "FUROSHIKI_DATABASE__URL": f"file://{secrets}/database_url",
        "FUROSHIKI_DATABASE__OWNER_URL": f"file://{secrets}/database_owner_url",
    }
    arguments = [sys.executable, "-m", "registry_api", *command]
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_roles_have_passwords(server: PostgreSQL, secrets: Path) -> None:
    """Both roles can log in with a password, and neither may go round row-level security."""
    rows = server.sql(
        "SELECT rolname, rolcanlogin, rolpassword IS NOT NULL, rolsuper OR rolbypassrls FROM pg_authid "
        "WHERE rolname LIKE 'furoshiki%' ORDER BY rolname"
    )

    assert rows.splitlines() == ["furoshiki|t|t|f", "furoshiki_app|t|t|f"]


def test_the_registry_works_with_them(secrets: Path, tmp_path: Path) -> None:
    """The migrations run as the owner; afterwards the registry opens the database as a role that is bound by its rules."""
    migrated = registry(secrets, tmp_path, "migrate")
    opened = registry(secrets, tmp_path, "audit", "verify")

    assert migrated.returncode == 0, migrated.stderr
    assert opened.returncode == 0, opened.stderr
    assert opened.stderr.count("first_key_written") == 2  # rows that the application's role wrote
    assert "row_security_does_not_bind" not in opened.stderr

# SPDX-License-Identifier: Apache-2.0
"""History against whoever may do everything with the database: the superuser, or the owner of the file."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from artifacts.digest import digest_bytes
from deploy.local.components.postgres import PostgreSQL
from registry_api.audit.service import AuditService
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.audit.writing import note
from tests.integration.registry_api.rest import Api, open_api

ENTRIES = 8
HALF = 4  # signed when it was the last one


async def write(api: Api, count: int) -> None:
    for at in range(count):
        async with api.platform.db.write("default") as session:
            await note(session, f"digits@{at + 1}", after={"value": at}, reason="because it was so")


class Superuser:
    """Runs SQL on a database without asking its triggers."""

    def __init__(self, home: Path, settings: DatabaseSettings, server: PostgreSQL | None) -> None:
        self._file = home / "registry.db"
        self._url = settings.url
        self._server = server

    def run(self, statement: str) -> None:
        """Runs one statement."""
        if self._server is not None and self._url is not None:
            name = self._url.rpartition("/")[2]
            self._server.sql(f"SET session_replication_role = replica;\n{statement}", database=name)
            return
        with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            for table in ("audit_entries", "audit_checkpoints"):
                for verb in ("update", "delete"):
                    connection.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
            connection.execute(statement)

    def document(self, seq: int) -> str:
        """The document of an entry."""
        where = f"FROM audit_entries WHERE tenant = 'default' AND seq = {seq}"
        if self._server is not None and self._url is not None:
            question = f"SELECT convert_from(document, 'UTF8') {where}"
            return self._server.sql(question, database=self._url.rpartition("/")[2])
        with closing(sqlite3.connect(self._file)) as connection:
            return str(connection.execute(f"SELECT document {where}").fetchone()[0].decode())

    def literal(self, document: str) -> str:
        """A document in SQL."""
        hexadecimal = document.encode().hex()
        return f"X'{hexadecimal}'" if self._server is None else f"decode('{hexadecimal}', 'hex')"


@pytest.fixture
def superuser(tmp_path: Path, database: DatabaseSettings, request: pytest.FixtureRequest) -> Superuser:
    server = None if database.url is None else request.getfixturevalue("postgres")
    return Superuser(tmp_path / "home", database, server)


def _change(user: Superuser) -> None:
    document = user.document(6).replace("because", "becausE")
    user.run(f"UPDATE audit_entries SET document = {user.literal(document)} WHERE seq = 6")


def _remove(user: Superuser) -> None:
    user.run("DELETE FROM audit_entries WHERE seq = 6")


def _reorder(user: Superuser) -> None:
    for before, after in ((6, 60), (7, 6), (60, 7)):
        user.run(f"UPDATE audit_entries SET seq = {after} WHERE seq = {before}")


def _insert(user: Superuser) -> None:
    """Makes room after entry 5 and puts a forged entry there whose hash fits its document and its predecessor."""
    user.run("UPDATE audit_entries SET seq = seq + 100 WHERE seq > 5")
    user.run("UPDATE audit_entries SET seq = seq - 99 WHERE seq > 5")
    forged = json.loads(user.document(5))
    forged["previous"] = digest_bytes(user.document(5).encode())
    _put(user, forged | {"seq": 6, "reason": "forged"}, "INSERT")


def _rewrite(user: Superuser) -> None:
    """Changes entry 2 and computes every hash after it anew, the head's too: the perfect forgery but for the key."""
    previous = digest_bytes(user.document(1).encode())
    for seq in range(2, ENTRIES + 1):
        entry = json.loads(user.document(seq)) | {"previous": previous}
        if seq == 2:
            entry["reason"] = "forged"
        previous = _put(user, entry, "UPDATE")
    user.run(f"UPDATE audit_heads SET hash = '{previous}'")


def _put(user: Superuser, entry: dict[str, Any], verb: str) -> str:
    document = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    digest = digest_bytes(document.encode())
    if verb == "UPDATE":
        user.run(
            f"UPDATE audit_entries SET document = {user.literal(document)}, hash = '{digest}' WHERE seq = {entry['seq']}"
        )
    else:
        user.run(
            "INSERT INTO audit_entries (tenant, seq, at, action, resource, hash, document) VALUES ('default', "
            f"{entry['seq']}, '{entry['at']}', '{entry['action']}', 'digits', '{digest}', {user.literal(document)})"
        )
    return digest


def _truncate(user: Superuser) -> None:
    """Cuts the tail off and makes the head agree; the checkpoint stays."""
    user.run(f"DELETE FROM audit_entries WHERE seq > {HALF + 2}")
    last = digest_bytes(user.document(HALF + 2).encode())
    user.run(f"UPDATE audit_heads SET seq = {HALF + 2}, hash = '{last}'")


def _foreign(user: Superuser) -> None:
    entry = json.loads(user.document(6)) | {"tenant": "globex"}
    _put(user, entry, "UPDATE")


def _time(user: Superuser) -> None:
    user.run("UPDATE audit_entries SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 6")


def _head(user: Superuser) -> None:
    user.run("UPDATE audit_heads SET seq = 9")


@pytest.mark.parametrize(
    ("tamper", "seq", "problem"),
    [
        (_change, 6, "its document has hash"),
        (_remove, 6, "entry 6 is missing"),
        (_reorder, 6, "its document says that it is entry 7"),
        (_insert, 7, "its document says that it is entry 6"),
        (_rewrite, HALF, "its checkpoint does not vouch for it"),
        (_truncate, ENTRIES, "a checkpoint vouches for this entry, and it is not there"),
        (_foreign, 6, "it is an entry of tenant 'globex'"),
        (_time, 6, "the columns it is found by differ"),
        (_head, ENTRIES + 1, "the head says that the chain ends with entry 9"),
    ],
)
async def test_whatever_the_superuser_does_is_found_and_located(
    api: Api, superuser: Superuser, tamper: Callable[[Superuser], None], seq: int, problem: str
) -> None:
    """Before, the history verifies; afterwards the first finding names the place and what is wrong there."""
    audit = api.services.get(AuditService)
    await write(api, HALF)
    await audit.sign("default")
    await write(api, ENTRIES - HALF)
    verdict = await audit.verify("default")
    assert (verdict.entries, verdict.checkpoints, verdict.signed_seq, verdict.findings) == (ENTRIES, 2, ENTRIES, ())
    tamper(superuser)
    findings = (await audit.verify("default")).findings
    assert (findings[0].seq, problem in findings[0].problem) == (seq, True), findings


def _forget(user: Superuser) -> None:
    """Rewrites the chain, and takes away all that vouches for what was there."""
    _rewrite(user)
    user.run("DELETE FROM audit_checkpoints")
    user.run("UPDATE audit_heads SET signed_seq = 0")


def _cut(user: Superuser) -> None:
    """Cuts the tail off with the checkpoint behind the cut; the head agrees."""
    _truncate(user)
    user.run(f"DELETE FROM audit_checkpoints WHERE seq > {HALF}")
    user.run(f"UPDATE audit_heads SET signed_seq = {HALF}")


@pytest.mark.parametrize("tamper", [_forget, _cut])
async def test_the_registry_signs_nothing_for_whoever_removes_its_checkpoints(
    api: Api, superuser: Superuser, tamper: Callable[[Superuser], None]
) -> None:
    """Neither at intervals nor to verify; what the process signed is not there any more, and verification says so."""
    audit = api.services.get(AuditService)
    await write(api, HALF)
    await audit.sign("default")
    await write(api, ENTRIES - HALF)
    await audit.sign("default")
    tamper(superuser)
    await write(api, 1)
    assert await audit.sign_all() == 0
    verdict = await audit.verify("default")
    assert verdict.signed_seq <= HALF
    assert [(found.seq, "this process signed" in found.problem) for found in verdict.findings] == [(ENTRIES, True)]


async def test_a_head_that_claims_a_signature_there_is_not_is_found(api: Api, superuser: Superuser) -> None:
    """Also by a process that signed nothing: the registry was told that there is nothing to sign."""
    await write(api, ENTRIES)
    superuser.run(f"UPDATE audit_heads SET signed_seq = {ENTRIES}")
    findings = (await api.services.get(AuditService).verify("default")).findings
    assert [(found.seq, "there is none" in found.problem) for found in findings] == [(ENTRIES, True)]


async def test_the_registry_itself_cannot_change_or_remove_entries(api: Api) -> None:
    """The database refuses, for entries and checkpoints alike."""
    await write(api, 2)
    await api.services.get(AuditService).sign("default")
    for table in ("audit_entries", "audit_checkpoints"):
        for statement in (f"UPDATE {table} SET seq = 7", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError):
                async with api.platform.db.write("default") as session:
                    await session.execute(text(statement))
    assert (await api.services.get(AuditService).verify("default")).findings == ()


@pytest.mark.parametrize("change", [0x20, 0x80])  # another letter; no text any more
async def test_one_byte_changed_in_the_file_on_disk_is_found_and_located(tmp_path: Path, change: int) -> None:
    """The registry is stopped, one byte of one reason is changed in the SQLite file, and the registry is started again."""
    async with open_api(tmp_path / "home") as api:
        await write(api, ENTRIES)
        await api.services.get(AuditService).sign("default")
    file = tmp_path / "home" / "registry.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    place = next(found.start() for found in re.finditer(rb"because it was so", data))
    seq = int(re.search(rb'"seq":(\d+)', data[place:]).group(1))  # type: ignore[union-attr]
    data[place] ^= change
    file.write_bytes(data)
    async with open_api(tmp_path / "home") as api:
        findings = (await api.services.get(AuditService).verify("default")).findings
    assert {finding.seq for finding in findings} == {seq}
    assert any("has hash" in finding.problem for finding in findings)

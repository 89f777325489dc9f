# SPDX-License-Identifier: Apache-2.0
"""The second wall between tenants: PostgreSQL's row-level security.

Rules. Every table whose rows belong to a tenant has one policy, for reading and for writing: a row is there only for a
transaction that showed a pass of its tenant (:mod:`registry_api.db.passes`), or one for all tenants. Without a pass there is
nothing. FORCE makes it hold for the owner of the tables too. Text SQL and injected SQL are bound by it as much as the ORM.

It binds neither superusers nor roles with BYPASSRLS, and an owner can switch it off: the application works as a role that is
none of these, and :func:`weaknesses` says when it does not. On SQLite, which has no roles, nothing here does anything.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

from registry_api.db.engine import tenant_column
from registry_api.db.passes import PASS_SETTING, TenantPasses, new_key, pads

SCHEMA: Final = "row_security"
"""Holds the key and the function that reads a pass; no table of the registry."""

PARENTS: Final = {"job_logs": ("job_number", "jobs", "number")}
"""Tables without a tenant whose rows belong to whom their parent belongs: column, parent, parent's column."""

_POLICY: Final = "tenant"

_TENANT_FUNCTION: Final = """
CREATE FUNCTION row_security.tenant() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog
AS $$
  SELECT CASE WHEN right(shown, 64) = encode(
      sha256(outer_pad || sha256(inner_pad || convert_to(left(shown, -65), 'UTF8'))), 'hex')
    THEN left(shown, -65) END
  FROM row_security.keys, current_setting('furoshiki.tenant', true) AS shown
$$
"""  # HMAC-SHA256; the schema is no one's to write but the owner's, and the search path is fixed


def install(connection: Connection) -> None:
    """Makes the key and the function that reads passes. For the migration that brings row-level security."""
    inner, outer = pads(key := new_key())
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    connection.execute(
        text("CREATE TABLE row_security.keys (key bytea NOT NULL, inner_pad bytea NOT NULL, outer_pad bytea NOT NULL)")
    )
    connection.execute(
        text("INSERT INTO row_security.keys VALUES (:key, :inner, :outer)"),
        {"key": key, "inner": inner, "outer": outer},
    )
    connection.exec_driver_sql(_TENANT_FUNCTION)


def secure(connection: Connection, *tables: str) -> None:
    """Puts tables under row-level security, in force at once. For migrations that make a table with a tenant.

    Args:
        connection: ``op.get_bind()``; nothing happens on SQLite.
        tables: Their names; each has a column ``tenant``, or is in :data:`PARENTS`.

    Raises:
        ValueError: If a table says neither itself nor through a parent whose its rows are.
    """
    if connection.dialect.name == "postgresql":
        write_policies(connection, *tables)
        enforce(connection, *tables)


def write_policies(connection: Connection, *tables: str) -> None:
    """Says who may see which rows, without effect until :func:`enforce`."""
    for table in tables:
        columns = [column["name"] for column in inspect(connection).get_columns(table)]
        visible = _visible(table, columns)
        if visible is None:
            raise ValueError(f"table {table!r} has no column 'tenant'; add it, or name its parent in PARENTS")
        connection.exec_driver_sql(f"CREATE POLICY {_POLICY} ON {table} USING ({visible}) WITH CHECK ({visible})")


def enforce(connection: Connection, *tables: str) -> None:
    """Puts the policies of tables in force, for their owner too."""
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        connection.exec_driver_sql(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def owned_tables(connection: Connection) -> list[str]:
    """The tables there are whose rows belong to tenants."""
    return [
        table
        for (_schema, table), columns in inspect(connection).get_multi_columns().items()
        if table in PARENTS or tenant_column(table, [column["name"] for column in columns])
    ]


def unprotected(connection: Connection) -> list[str]:
    """Tables whose rows belong to tenants and that have no forced policy: none, unless a migration forgot one."""
    protected = connection.scalars(
        text(
            "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid "
            "WHERE relrowsecurity AND relforcerowsecurity AND relnamespace = current_schema()::regnamespace"
        )
    )
    return sorted(set(owned_tables(connection)) - set(protected))


def read_key(connection: Connection) -> TenantPasses | None:
    """The passes of this database; None where there is no row-level security. For the owner's role only."""
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table("keys", schema=SCHEMA):
        return None
    return TenantPasses(connection.scalar(text("SELECT key FROM row_security.keys")) or b"")


def show(connection: Connection, tenant: str) -> None:
    """Opens a tenant's rows, or those of all, to this transaction of the owner's role."""
    passes = read_key(connection)
    if passes is not None:
        connection.execute(text(f"SELECT set_config('{PASS_SETTING}', :pass, true)"), {"pass": passes.of(tenant)})


def grant(connection: Connection, role: str) -> None:
    """Lets the application's role use every table there is, and only use it. For the owner's role."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    schema = connection.dialect.identifier_preparer.quote(str(connection.scalar(text("SELECT current_schema()"))))
    for statement in (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {quoted}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}",
    ):
        connection.exec_driver_sql(statement)


def weaknesses(connection: Connection) -> list[str]:
    """Why the role of this connection is not bound by row-level security; empty if it is."""
    role = connection.execute(
        text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
    ).one()
    found = []
    if role.rolsuper:
        found.append(f"role {role.rolname!r} is a superuser")
    elif role.rolbypassrls:
        found.append(f"role {role.rolname!r} has BYPASSRLS")
    owns = text("SELECT bool_or(pg_has_role(relowner, 'MEMBER')) FROM pg_class WHERE relname = 'tenants'")
    if not role.rolsuper and connection.scalar(owns):
        found.append(f"role {role.rolname!r} owns the tables, or is a member of their owner")
    return found


def _visible(table: str, columns: list[str]) -> str | None:
    everything = f"(SELECT {SCHEMA}.tenant()) = '*'"
    if table in PARENTS:
        column, parent, key = PARENTS[table]
        return f"EXISTS (SELECT FROM {parent} WHERE {parent}.{key} = {table}.{column})"
    name = tenant_column(table, columns)
    return None if name is None else f"{name} = (SELECT {SCHEMA}.tenant()) OR {everything}"

# SPDX-License-Identifier: Apache-2.0
"""Fills a database with models, versions and logged requests, by SQL: rows as the registry writes them, blobs left out.

One tenant has nine tenths of everything, another the rest, so that no plan gets away with ignoring the tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from registry_api.db import row_security
from registry_api.db.engine import create_engine

TENANT: Final = "default"  # of the first keys
OTHER: Final = "globex"
VERSIONS_PER_MODEL: Final = 1000

_SHARE: Final = 10  # one of so many rows is the other tenant's
_HASH: Final = "'sha256:' || encode(sha256(convert_to({0}, 'UTF8')), 'hex')"

_TENANTS: Final = f"INSERT INTO tenants (name, display_name, created_at) VALUES ('{OTHER}', '{OTHER}', now())"
_MODELS: Final = f"""
INSERT INTO models (tenant, name, description, tags, last_version, created_at, updated_at)
SELECT CASE WHEN n % {_SHARE} = 0 THEN '{OTHER}' ELSE '{TENANT}' END, 'model-' || n, 'a model', '["seed"]', :versions,
  now(), now()
FROM generate_series(1, :models) AS n
"""
_VERSIONS: Final = f"""
INSERT INTO versions (tenant, model_id, version, stage, format, digest, signature_digest, key_id, size, inputs, outputs,
  metadata, created_at, created_by, created_by_key, description, tags)
SELECT m.tenant, m.id, v, CASE WHEN v = :versions - 5 THEN 'PRODUCTION' WHEN v % 10 = 0 THEN 'STAGING' ELSE 'DEVELOPMENT' END,
  'onnx', {_HASH.format("m.id || ':' || v")}, {_HASH.format("'s' || m.id || ':' || v")}, repeat('a', 64), 1000000,
  '[{{"name": "x", "datatype": "FP32", "shape": [-1, 4]}}]', '[{{"name": "y", "datatype": "FP32", "shape": [-1, 3]}}]',
  '{{"accuracy": "0.97"}}', now(), 'seed', 'seed', '', '[]'
FROM models m, generate_series(1, :versions) AS v
"""
_FILES: Final = """
INSERT INTO version_files (version_id, position, tenant, path, size, digest)
SELECT id, 0, tenant, 'model.onnx', size, digest FROM versions
"""
_VARIANTS: Final = """
INSERT INTO variants (tenant, version_id, name, format, precision, device, digest, signature_digest, key_id, size, source,
  created_at)
SELECT tenant, id, 'onnx-fp32/cpu', 'onnx', 'fp32', 'cpu', digest, signature_digest, key_id, size, true, created_at
FROM versions
"""
_ALIASES: Final = """
INSERT INTO aliases (model_id, name, tenant, version_id, moved_at, moved_by)
SELECT model_id, 'champion', tenant, id, now(), 'seed' FROM versions WHERE stage = 'PRODUCTION'
"""
_REQUESTS: Final = f"""
INSERT INTO inference_requests (tenant, at, model, version, request_id, code, protocol, key_id, rows, total_us, queue_us,
  compute_us, runner, weight)
SELECT CASE WHEN n % {_SHARE} = 0 THEN '{OTHER}' ELSE '{TENANT}' END,
  now() - make_interval(secs => (:requests - n) * 2592000.0 / :requests), 'model-' || (n % 100 + 1), '7',
  md5(n::text), CASE WHEN n % 50 = 0 THEN 'TIMEOUT_001' ELSE 'ok' END, 'rest_v2', 'key', 1, 1000 + n % 5000, 100, 800,
  'onnx-cpu', 1
FROM generate_series(1, :requests) AS n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many rows there are to be."""

    versions: int
    requests: int  # logged, within the last 30 days

    @property
    def models(self) -> int:
        """Each has a thousand versions."""
        return max(1, self.versions // VERSIONS_PER_MODEL)


async def seed(owner_url: str, size: Size) -> None:
    """Writes the rows and lets PostgreSQL look at them (VACUUM ANALYZE)."""
    given = {"models": size.models, "versions": VERSIONS_PER_MODEL, "requests": size.requests}
    engine = create_engine(owner_url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(row_security.show, "*")
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            for statement in (_TENANTS, _MODELS, _VERSIONS, _FILES, _VARIANTS, _ALIASES, _REQUESTS):
                names = {name: value for name, value in given.items() if f":{name}" in statement}
                await connection.execute(text(statement), names)
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as connection:
            await connection.execute(text("SET statement_timeout = 0"))
            await connection.execute(text("VACUUM ANALYZE"))
    finally:
        await engine.dispose()

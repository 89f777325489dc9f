#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run once by the PostgreSQL image: the owner of the tables, and the role the registry works as (docs/how-to/postgresql.md).
# psql reads the passwords itself, so that they are in no argument of a process.
set -eu
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set owner `cat /run/secrets/owner_password`
\set app `cat /run/secrets/app_password`
CREATE ROLE furoshiki LOGIN PASSWORD :'owner';
CREATE ROLE furoshiki_app LOGIN PASSWORD :'app';
CREATE DATABASE furoshiki OWNER furoshiki ENCODING 'UTF8' TEMPLATE template0;
SQL

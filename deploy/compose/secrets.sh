#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the passwords of deploy/compose once: secrets/, which only its owner may enter, and .env. Existing ones are kept.
set -eu
umask 077
cd "$(dirname "$0")"
[ ! -e .env ] || { echo "deploy/compose/.env exists already; nothing was changed." >&2; exit 0; }
mkdir -p secrets
word() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
put() { printf '%s' "$2" > "secrets/$1"; chmod 0444 "secrets/$1"; } # containers read them as other users; the folder is closed

postgres=$(word) owner=$(word) app=$(word) redis=$(word) access=$(word) secret=$(word)
put postgres_password "$postgres"
put owner_password "$owner"
put app_password "$app"
put database_url "postgresql+asyncpg://furoshiki_app:$app@postgres/furoshiki"
put database_owner_url "postgresql+asyncpg://furoshiki:$owner@postgres/furoshiki"
put redis_conf "requirepass $redis"
put redis_url "redis://:$redis@redis:6379/0"
put s3_access_key "$access"
put s3_secret_key "$secret"
put grafana_password "$(word)"
printf 'S3_ACCESS_KEY=%s\nS3_SECRET_KEY=%s\n' "$access" "$secret" > .env

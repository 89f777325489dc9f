# SPDX-License-Identifier: Apache-2.0
"""Buckets of the real object store for tests."""

from __future__ import annotations

import uuid

from artifacts.stores.publishing import Parts
from artifacts.stores.s3 import S3Options
from deploy.local.components.rgw import ObjectStore


def new_bucket(rgw: ObjectStore) -> str:
    """Makes an empty bucket; its name."""
    name = f"test-{uuid.uuid4().hex}"
    rgw.make_bucket(name)
    return name


def options(rgw: ObjectStore, bucket: str, *, endpoint: str | None = None, retry_seconds: float = 10.0) -> S3Options:
    """How to reach a bucket, with small parts and short waits."""
    return S3Options(
        bucket=bucket,
        prefix="registry/a",
        region=rgw.region,
        access_key=rgw.access_key,
        secret_key=rgw.secret_key,
        session_token=None,
        endpoint=endpoint or rgw.endpoint,
        path_style=True,
        connect_seconds=2.0,
        request_seconds=2.0 if endpoint else 30.0,
        retries=3,
        retry_seconds=retry_seconds,
        parts=Parts(bytes=5 << 20, in_flight=3),
        range_bytes=6 << 20,
    )

# SPDX-License-Identifier: Apache-2.0
"""Opens a bucket of S3 or of a service that speaks S3, such as Ceph.

Large objects are sent in parts, several at a time; a part that fails is sent again, within limits. What is unfinished is
invisible and is ended by the sweep. No credential is looked for anywhere but in the arguments: a registry never borrows the
machine's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from obstore.store import S3Store

from artifacts.stores.abandoned import BucketAccess, S3MultipartSweeper
from artifacts.stores.bucket import Bucket
from artifacts.stores.publishing import DirectPublisher, Parts
from core.clock import Clock

_FIRST_WAIT: Final = timedelta(milliseconds=100)  # before the first retry
_LONGEST_WAIT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """How to reach a bucket."""

    bucket: str
    prefix: str  # of every key, without a trailing slash; "" for none
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)  # of temporary credentials
    endpoint: str | None  # None: AWS; otherwise "https://host", or "http://host" on a network that is trusted
    path_style: bool  # the bucket in the path, not in the host name
    connect_seconds: float
    request_seconds: float  # of one request: one part of an upload, one range of a download
    retries: int
    retry_seconds: float  # of one request and its retries
    parts: Parts
    range_bytes: int = 64 * 1024 * 1024  # of one request of a download


def open_s3(options: S3Options, clock: Clock) -> Bucket:
    """The bucket; nothing is asked of it yet."""
    store = S3Store(
        options.bucket,
        prefix=options.prefix or None,
        config={
            "region": options.region,
            "access_key_id": options.access_key,
            "secret_access_key": options.secret_key,
            "virtual_hosted_style_request": not options.path_style,
            **({} if options.endpoint is None else {"endpoint": _endpoint(options)}),
            **({} if options.session_token is None else {"session_token": options.session_token}),
        },
        client_options={
            "allow_http": (options.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=options.connect_seconds),
            "timeout": timedelta(seconds=options.request_seconds),
        },
        retry_config={
            "max_retries": options.retries,
            "retry_timeout": timedelta(seconds=options.retry_seconds),
            "backoff": {"init_backoff": _FIRST_WAIT, "max_backoff": _LONGEST_WAIT, "base": 2},
        },
    )
    sweeper = S3MultipartSweeper(access_of(options), clock, timeout_seconds=options.request_seconds)
    return Bucket(store, DirectPublisher(store, parts=options.parts, sweeper=sweeper), range_bytes=options.range_bytes)


def _endpoint(options: S3Options) -> str:
    """What obstore wants: with virtual-hosted addresses, the endpoint has the bucket in it."""
    return (options.endpoint or "").rstrip("/") if options.path_style else _bucket_url(options)


def _bucket_url(options: S3Options) -> str:
    base = (options.endpoint or f"https://s3.{options.region}.amazonaws.com").rstrip("/")
    if options.path_style:
        return f"{base}/{options.bucket}"
    scheme, host = base.split("://", 1)
    return f"{scheme}://{options.bucket}.{host}"


def access_of(options: S3Options) -> BucketAccess:
    """Where the bucket is, for requests that obstore does not make."""
    return BucketAccess(
        url=_bucket_url(options),
        prefix=f"{options.prefix}/" if options.prefix else "",
        region=options.region,
        access_key=options.access_key,
        secret_key=options.secret_key,
    )

# SPDX-License-Identifier: Apache-2.0
"""Opens the blob store that the settings name: a folder, memory or S3; plain or encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from artifacts.encryption.keys import FileKeys, KeyWrapper
from artifacts.encryption.sealing import Sealing
from artifacts.stores.bucket import Bucket
from artifacts.stores.mixed import MixedBlobStore
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.parts import PartStore
from artifacts.stores.plugins import open_other
from artifacts.stores.publishing import Parts
from artifacts.stores.s3 import S3Options, open_s3
from artifacts.stores.sealed import SealedBlobStore
from core.clock import Clock
from core.errors import ErrorCode, InitError
from registry_api.settings.registry import Settings
from registry_api.settings.storage import StoreSettings
from registry_api.storage.interface import Blobs

_URLS: Final = "'file:///folder', 's3://bucket/prefix', 'memory://' or what an installed plugin opens"


def open_blobs(settings: Settings, clock: Clock) -> Blobs:
    """The blob store of the settings.

    Raises:
        InitError: ``INIT_002`` if the URL is of no kind we have a store for, or S3 lacks a setting.
    """
    bucket = open_bucket(settings.store_url, settings.store, clock)
    wrapper = _wrapper(settings, clock)
    sealing = Sealing(wrapper)
    plain, sealed = ObjectBlobStore(bucket, clock=clock), SealedBlobStore(bucket, sealing, clock=clock)
    encryption = settings.store.encryption == "on"
    mixed = MixedBlobStore(sealed, plain) if encryption else MixedBlobStore(plain, sealed)
    parts = PartStore(bucket, sealing if encryption else None, clock)
    return Blobs(store=mixed, parts=parts, mixed=mixed, sealed=sealed, encryption=encryption, wrapper=wrapper)


def open_bucket(url: str, settings: StoreSettings, clock: Clock) -> Bucket:
    """The bucket at ``url``.

    Raises:
        InitError: ``INIT_002``, see :func:`open_blobs`.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc == "" and parts.path.startswith("/"):
        return Bucket.local(Path(url2pathname(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return open_s3(_s3(parts, settings), clock)
    if parts.scheme == "memory":
        return Bucket.memory()
    other = open_other(parts.scheme, url)
    if other is not None:
        return other
    raise InitError(ErrorCode.SETTING_INVALID, f"FUROSHIKI_STORE__URL: got {url!r}; expected {_URLS}.")


def _s3(url: SplitResult, settings: StoreSettings) -> S3Options:
    s3 = settings.s3
    if s3.access_key is None or s3.secret_key is None:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "FUROSHIKI_STORE__S3__ACCESS_KEY and FUROSHIKI_STORE__S3__SECRET_KEY: got none; an s3:// store needs both. "
            "A value may be a reference such as vault://secret/s3#access-key.",
        )
    return S3Options(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        region=s3.region,
        access_key=s3.access_key.get_secret_value(),
        secret_key=s3.secret_key.get_secret_value(),
        session_token=None if s3.session_token is None else s3.session_token.get_secret_value(),
        endpoint=s3.endpoint,
        path_style=s3.path_style,
        connect_seconds=s3.connect_seconds,
        request_seconds=s3.request_seconds,
        retries=s3.retries,
        retry_seconds=s3.retry_seconds,
        parts=Parts(bytes=s3.part_bytes, in_flight=s3.parts_in_flight),
    )


def _wrapper(settings: Settings, clock: Clock) -> KeyWrapper:
    if settings.store.keys == "file":
        return FileKeys(settings.keys_dir / "encryption")
    from artifacts.encryption.transit import TransitKeyWrapper  # only its users need hvac
    from artifacts.secrets.connection import VaultConnection

    return TransitKeyWrapper(VaultConnection(settings.vault, clock), clock)

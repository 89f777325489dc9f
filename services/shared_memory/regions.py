# SPDX-License-Identifier: Apache-2.0
"""Regions of shared memory that clients registered, each tenant its own.

Where several tenants are served, a key must begin with the tenant's name and a tilde, so that whoever learns a key of another
tenant cannot register it. Bytes are copied by ``pread`` and ``pwrite`` and the file is never mapped: a client that
truncates it gets an error, where a mapping would end the whole process with SIGBUS.

``read`` and ``write`` may be called from any thread. A file is closed with its last user: a region that is unregistered while
it is written never turns into whatever is opened next.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import AuthError, Conflict, ErrorCode, InvalidRequest, Overloaded, Unavailable
from services.edge.bodies import Body
from services.shared_memory.objects import SHARED_MEMORY, invalid, object_name, open_object, size_of

_LONGEST_NAME: Final = 256
_MOST_IN_ALL: Final = 1024  # regions of all tenants: each holds a file open


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLimits:
    """What the extension allows. Each is a setting ``FUROSHIKI_SHARED_MEMORY__…``."""

    enabled: bool = False
    regions: int = 64  # of one tenant
    bytes: int = 2**30  # of one tenant's regions together


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionStatus:
    """A registered region as its tenant sees it."""

    name: str
    key: str
    offset: int  # bytes into the file
    byte_size: int


class _Region:
    __slots__ = ("fd", "status")

    def __init__(self, status: RegionStatus, fd: int) -> None:
        self.status = status
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Regions:
    """The registered regions.

    Args:
        limits: Whether regions may be registered at all, how many, and of what size.
        own_keys: Whether the key of tenant ``acme`` must begin with ``acme~``.
        folder: Where shared memory lies.
    """

    def __init__(self, limits: RegionLimits, *, own_keys: bool = False, folder: Path = SHARED_MEMORY) -> None:
        self._limits = limits
        self._own_keys = own_keys
        self._folder = folder
        self._regions: dict[str, dict[str, _Region]] = {}

    @property
    def enabled(self) -> bool:
        """Whether the extension is on; every other method raises ``AUTH_003`` where it is not."""
        return self._limits.enabled

    def register(self, tenant: str, name: str, key: str, offset: int, byte_size: int) -> None:
        """Opens a region.

        Args:
            tenant: Whose region it is.
            name: What its requests will call it.
            key: The name of the shared memory object, with or without a leading ``/``.
            offset: Bytes before the region in the object.
            byte_size: Bytes of the region.

        Raises:
            AuthError: ``AUTH_003`` if the extension is off.
            Conflict: ``STATE_002`` if the tenant has a region of that name.
            InvalidRequest: ``VALID_002`` if a value is out of range, or the key names no such memory.
            Overloaded: ``QUOTA_001`` beyond a limit of the tenant, ``QUEUE_001`` beyond that of all.
        """
        self._require_enabled()
        own = self._regions.get(tenant, {})
        if name in own:
            raise Conflict(ErrorCode.RESOURCE_EXISTS, f"Region {name!r} is registered already; unregister it first.")
        if not 0 < len(name) <= _LONGEST_NAME:
            raise invalid(f"The region's name has {len(name)} characters; expected 1 to {_LONGEST_NAME}.")
        if offset < 0 or byte_size <= 0:
            raise invalid(f"Region {name!r}: offset {offset} must be >= 0 and byte_size {byte_size} > 0.")
        self._check_quota(own, byte_size)
        status = RegionStatus(name=name, key=key, offset=offset, byte_size=byte_size)
        region = _Region(status, self._open(tenant, key))
        size = size_of(region.fd)
        if offset + byte_size > size:
            raise invalid(
                f"Region {name!r}: {byte_size} bytes at offset {offset} exceed key {key!r}, which has {size} bytes."
            )
        self._regions.setdefault(tenant, {})[name] = region

    def unregister(self, tenant: str, name: str | None) -> None:
        """Forgets one region, or with None all of the tenant. One that does not exist is no error.

        Raises:
            AuthError: ``AUTH_003`` if the extension is off.
        """
        self._require_enabled()
        own = self._regions.get(tenant, {})
        if name is not None:
            own.pop(name, None)
        if name is None or not own:
            self._regions.pop(tenant, None)

    def status(self, tenant: str, name: str | None) -> list[RegionStatus]:
        """One region, or with None all of the tenant.

        Raises:
            AuthError: ``AUTH_003`` if the extension is off.
            InvalidRequest: ``VALID_002`` if the tenant has no such region.
        """
        self._require_enabled()
        if name is not None:
            return [self._find(tenant, name).status]
        return [region.status for region in self._regions.get(tenant, {}).values()]

    def read(self, tenant: str, name: str, offset: int, size: int) -> bytes:
        """A copy of ``size`` bytes from ``offset`` of the region.

        Raises:
            AuthError: ``AUTH_003`` if the extension is off.
            InvalidRequest: ``VALID_002`` if there is no such region, it does not reach that far, or it was truncated.
        """
        region = self._within(tenant, name, offset, size)
        start = region.status.offset + offset
        data = os.pread(region.fd, size, start)
        while len(data) < size:  # one call gives at most 2 GiB
            more = os.pread(region.fd, size - len(data), start + len(data))
            if not more:
                raise _truncated(name)
            data += more
        return data

    def check(self, tenant: str, name: str, offset: int, size: int) -> None:
        """Whether ``size`` bytes from ``offset`` lie in the region, for those who will write them later.

        Raises:
            AuthError, InvalidRequest: As :meth:`read`.
        """
        self._within(tenant, name, offset, size)

    def write(self, tenant: str, name: str, offset: int, data: Body) -> None:
        """Writes ``data`` at ``offset`` of the region.

        Raises:
            AuthError: ``AUTH_003`` if the extension is off.
            InvalidRequest: ``VALID_002`` as :meth:`read`.
            Unavailable: ``STORE_004`` if the machine has no memory for it.
        """
        region = self._within(tenant, name, offset, len(data))
        start = region.status.offset + offset
        if start + len(data) > size_of(region.fd):  # written, it would grow again
            raise _truncated(name)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(region.fd, memoryview(data)[written:], start + written)
        except OSError as error:
            raise Unavailable(
                ErrorCode.STORE_FULL, f"Region {name!r} cannot be written: {error.strerror}.", retry_after=1.0
            ) from None

    def _within(self, tenant: str, name: str, offset: int, size: int) -> _Region:
        self._require_enabled()
        region = self._find(tenant, name)
        if offset < 0 or size < 0 or offset + size > region.status.byte_size:
            raise invalid(
                f"{size} bytes at offset {offset} are outside of region {name!r}, which has "
                f"{region.status.byte_size} bytes."
            )
        return region

    def _find(self, tenant: str, name: str) -> _Region:
        region = self._regions.get(tenant, {}).get(name)
        if region is None:
            raise invalid(f"There is no shared memory region {name[:80]!r}; register it first.")
        return region

    def _require_enabled(self) -> None:
        if not self._limits.enabled:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                "Shared memory is off; the operator can allow it with FUROSHIKI_SHARED_MEMORY__ENABLED=true.",
            )

    def _check_quota(self, own: dict[str, _Region], byte_size: int) -> None:
        limits = self._limits
        if len(own) >= limits.regions:
            raise Overloaded(ErrorCode.QUOTA_EXCEEDED, f"The tenant has {limits.regions} regions, its limit.")
        taken = sum(region.status.byte_size for region in own.values())
        if taken + byte_size > limits.bytes:
            raise Overloaded(
                ErrorCode.QUOTA_EXCEEDED,
                f"{byte_size} bytes beside the {taken} registered exceed the tenant's limit of {limits.bytes}.",
            )
        if sum(map(len, self._regions.values())) >= _MOST_IN_ALL:
            raise Overloaded(
                ErrorCode.QUEUE_FULL, f"The service holds {_MOST_IN_ALL} regions, its limit.", retry_after=1.0
            )

    def _open(self, tenant: str, key: str) -> int:
        name = object_name(key)
        if self._own_keys and not name.startswith(f"{tenant}~"):
            raise invalid(f"Key {key[:80]!r} must begin with '/{tenant}~'; this service has several tenants.")
        return open_object(self._folder, name)


def _truncated(name: str) -> InvalidRequest:
    return invalid(f"The memory of region {name!r} was truncated after it was registered.")

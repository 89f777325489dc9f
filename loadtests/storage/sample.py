# SPDX-License-Identifier: Apache-2.0
"""What one round measured; seconds and bytes."""

from __future__ import annotations

import msgspec


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A push and a download of one registry."""

    hashed: float  # the client hashed its files
    sent: float  # from the start until the registry held all of them, checked
    complete: float  # from the start until the version was registered
    client_bytes: int  # the client's peak resident memory
    download: float = 0.0
    server_bytes: int = 0  # the registry's peak resident memory, download included


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One round."""

    sha256sum: float
    cp: float
    cp_sync: float
    plain: Push
    encrypted: Push

    @property
    def baseline(self) -> float:
        """What reading, hashing and copying takes without a registry."""
        return self.sha256sum + self.cp

    @property
    def durable(self) -> float:
        """The same, with the copy on the disk and not only in memory, as a push leaves it."""
        return self.sha256sum + self.cp_sync

    @property
    def load_ratio(self) -> float:
        """Encrypted download against plain."""
        return self.encrypted.download / self.plain.download

    @property
    def server_bytes(self) -> int:
        """The larger peak of the two registries."""
        return max(self.plain.server_bytes, self.encrypted.server_bytes)

    @property
    def client_bytes(self) -> int:
        """The larger peak of the two clients."""
        return max(self.plain.client_bytes, self.encrypted.client_bytes)

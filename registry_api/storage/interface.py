# SPDX-License-Identifier: Apache-2.0
"""The blob store as the registry has it open."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.encryption.keys import KeyWrapper
from artifacts.stores.interface import ManagedStore
from artifacts.stores.mixed import MixedBlobStore
from artifacts.stores.parts import PartStore
from artifacts.stores.sealed import SealedBlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Blobs:
    """The blob store and what is beside it."""

    store: ManagedStore  # plain and encrypted blobs
    parts: PartStore
    mixed: MixedBlobStore  # the same store, to move blobs to the kind that is written
    sealed: SealedBlobStore  # its encrypted half
    encryption: bool  # whether new blobs are encrypted
    wrapper: KeyWrapper

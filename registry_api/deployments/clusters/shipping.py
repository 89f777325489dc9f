# SPDX-License-Identifier: Apache-2.0
"""Brings a verified image to where the cluster pulls from: by digest, without a tag, with everything attached to it.

What is there does not travel again. Over TLS, but for a registry on this machine. Logins come from one file that is named,
and from nowhere else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from artifacts.oci.access import Access, Credentials
from artifacts.oci.credentials import stored_credentials
from artifacts.oci.reference import Reference, parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import Shipped, push_whole
from registry_api.deployments.verified_images import FetchedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingOptions:
    """Where images go."""

    images: str  # prefix of repositories: registry.example.com/models
    auth_file: Path | None = None  # logins as docker and podman keep them; None: anonymous
    ca_file: Path | None = None  # PEM; None: the system's authorities


class Shipper:
    """Pushes images.

    Args:
        options: Where they go.
    """

    def __init__(self, options: ShippingOptions) -> None:
        self._options = options

    async def ship(self, image: FetchedImage, repository: str) -> Shipped:
        """Pushes one into ``repository``, which lies below the prefix.

        Raises:
            InvalidRequest: ``VALID_002`` if a registry cannot hold a repository of that name.
            InitError: ``INIT_002`` if the file of logins or of authorities cannot be used.
            Unavailable: ``OCI_001`` if the registry cannot be reached.
            FuroshikiError: ``OCI_002`` to ``OCI_004`` if it refuses.
        """
        reference = parse_reference(f"{self._options.images}/{repository}")
        credentials = await asyncio.to_thread(self._login, reference)
        access = Access(credentials=credentials, ca_file=self._options.ca_file)
        async with Registry(reference.host, access) as registry:
            return await push_whole(image.layout, image.descriptor, registry.repository(reference.repository))

    def _login(self, reference: Reference) -> Credentials | None:
        file = self._options.auth_file
        return None if file is None else stored_credentials(reference, {"REGISTRY_AUTH_FILE": str(file)})

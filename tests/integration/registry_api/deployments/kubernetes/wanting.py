# SPDX-License-Identifier: Apache-2.0
"""What the tests want of a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from artifacts.digest import digest_bytes
from registry_api.deployments.kubernetes.naming import release_name
from registry_api.deployments.kubernetes.values import Wanted

NAMESPACE = "ml"
IMAGES = "registry.example.com/models"
RELEASE = release_name("main", "acme", "digits")
SERVER = f"{RELEASE}-model"


def wanted(**changes: Any) -> Wanted:
    """``acme``'s deployment ``digits`` of one pod, with changes."""
    asked = Wanted(
        tenant="acme",
        name="digits",
        model="digits@3",
        repository="acme/digits",
        image=digest_bytes(b"an image"),
        revision=1,
        run="run-1",
    )
    return replace(asked, **changes)

# SPDX-License-Identifier: Apache-2.0
"""Names and labels of a deployment's objects.

The law: two deployments (registry, tenant, name) that differ have different release names, however alike they are; a release
name starts with a letter and is, with the longest suffix the chart adds, a DNS label of at most 63 characters. What people
read in front is cut and cleaned; 100 bits of SHA-256 behind it keep names apart. The exact words stand in annotations, as
names may be longer than a label value or end in a character that one may not.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from registry_api.deployments.kubernetes.values import Document

SERVER: Final = "model"  # key of the one deployment in the chart's values

INSTANCE: Final = "furoshiki.dev/instance"
RELEASE: Final = "furoshiki.dev/release"
TENANT: Final = "furoshiki.dev/tenant"
DEPLOYMENT: Final = "furoshiki.dev/deployment"
REVISION: Final = "furoshiki.dev/revision"
RUN: Final = "furoshiki.dev/run"
REGISTRY: Final = "furoshiki.dev/registry"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "furoshiki-registry"  # the field manager, and the label's value

_SHOWN: Final = 12
_DIGITS: Final = 20  # of base32: 100 bits
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def release_name(instance: str, tenant: str, name: str) -> str:
    """The release of a deployment: ``f-TENANT-NAME-HASH``, at most 48 characters."""
    return f"f-{_shown(tenant)}-{_shown(name)}-{_hash(instance, tenant, name)}"


def server_name(release: str) -> str:
    """The Deployment, Service and autoscaler of a release."""
    return f"{release}-{SERVER}"


def label_value(text: str) -> str:
    """``text`` where it may be a label's value, else its beginning and a hash."""
    if _LABEL.fullmatch(text):
        return text
    return f"{_shown(text)}.{_hash(text)}"


def owner_selector(instance: str, release: str | None = None) -> str:
    """The label selector of everything this registry applied, or of one release of it."""
    mine = f"{MANAGED_BY}={MANAGER},{INSTANCE}={label_value(instance)}"
    return mine if release is None else f"{mine},{RELEASE}={release}"


def release_of(found: Document) -> str:
    """The release that an object belongs to; "" if it has the labels of one and not its name: somebody's copy."""
    release = str((found["metadata"].get("labels") or {}).get(RELEASE, ""))
    return release if release and found["metadata"]["name"].startswith(f"{release}-") else ""


def is_ours(found: Document, instance: str, release: str) -> bool:
    """Whether an object carries the labels of this registry and of this release."""
    labels = found["metadata"].get("labels") or {}
    expected = {MANAGED_BY: MANAGER, INSTANCE: label_value(instance), RELEASE: release}
    return all(labels.get(key) == value for key, value in expected.items())


def _shown(text: str) -> str:
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_SHOWN].strip("-")
    return cleaned or "x"


def _hash(*words: str) -> str:
    digest = hashlib.sha256(b"\0".join(word.encode() for word in words)).digest()
    return base64.b32encode(digest).decode().lower()[:_DIGITS]

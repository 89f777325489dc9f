# SPDX-License-Identifier: Apache-2.0
"""The software bill of materials of an image: CycloneDX 1.6 in JSON.

Law: ``packages_in(sbom_of(image, contents, …)) == contents.packages``, and the same image gives the same document, so anybody
who has the image can make it again and compare.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from artifacts.digest import Digest, hex_of
from artifacts.supply.contents import Contents
from artifacts.supply.packages import Package
from core.clock import rfc3339

SPEC_VERSION: Final = "1.6"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://furoshiki.dev/sbom")


def sbom_of(image: Digest, contents: Contents, *, name: str, created: datetime, model: Digest) -> dict[str, Any]:
    """The SBOM of an image.

    Args:
        image: Digest of its manifest.
        contents: What it holds.
        name: Of the model version inside: ``acme/digits@3``.
        created: When its Bento was made.
        model: Digest of the model bundle's manifest.
    """
    root = f"pkg:oci/{quote(name.rpartition('/')[2].partition('@')[0])}@{quote(image, safe='')}"
    components = [_component(package) for package in contents.packages]
    components.append(_model(name, model))
    if contents.system:
        system, _, version = contents.system.partition(" ")
        components.append({"type": "operating-system", "bom-ref": f"os:{system}", "name": system, "version": version})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, image)}",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(created),
            "tools": {"components": [{"type": "application", "name": "furoshiki"}]},
            "component": {
                "type": "container",
                "bom-ref": root,
                "name": name,
                "version": image,
                "purl": root,
                "hashes": [{"alg": "SHA-256", "content": hex_of(image)}],
            },
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [str(found["bom-ref"]) for found in components]}],
    }


def packages_in(sbom: Mapping[str, Any]) -> frozenset[str]:
    """Package URLs of the packages that an SBOM lists; without the image itself."""
    found = sbom.get("components")
    listed = found if isinstance(found, list) else []
    return frozenset(str(each["purl"]) for each in listed if isinstance(each, dict) and "purl" in each)


def image_in(sbom: Mapping[str, Any]) -> Digest | None:
    """Digest of the image that an SBOM is of; None if it does not say."""
    metadata = sbom.get("metadata")
    component = metadata.get("component") if isinstance(metadata, dict) else None
    version = component.get("version") if isinstance(component, dict) else None
    return version if isinstance(version, str) else None


def _component(package: Package) -> dict[str, Any]:
    licences = [{"license": {"name": package.licence}}] if package.licence else []
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        **({"licenses": licences} if licences else {}),
    }


def _model(name: str, digest: Digest) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{digest}",
        "name": name,
        "version": name.rpartition("@")[2],
        "hashes": [{"alg": "SHA-256", "content": hex_of(digest)}],
    }

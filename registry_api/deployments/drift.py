# SPDX-License-Identifier: Apache-2.0
"""Whether what an instance was made of, and what runs of it, are still what its template says.

The signed manifest on disk is compared, by its digest: the process verified every file when it loaded it and does so again.
What runs is compared by its target (:meth:`registry_api.deployments.target.Target.differences`), once for all instances.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from artifacts.digest import digest_bytes, hex_of
from artifacts.manifest import MANIFEST_NAME
from registry_api.deployments.target import Launch, launch_of
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import Deployment, InstanceState, TargetKind, Template


class Drift:
    """Compares what one machine runs with what is wanted.

    Args:
        targets: Know what runs here.
        folder: Where deployments live.
        host: This machine.
    """

    def __init__(self, targets: Targets, *, folder: Path, host: str) -> None:
        self._targets = targets
        self._folder = folder
        self._host = host

    async def find(self, deployments: Iterable[Deployment]) -> Mapping[str, str]:
        """How instances that count as what is wanted differ from it, in words, by run; those that do not are missing."""
        return await asyncio.to_thread(self._find, list(deployments))

    def _find(self, deployments: list[Deployment]) -> dict[str, str]:
        launches: dict[TargetKind, list[Launch]] = defaultdict(list)
        found: dict[str, str] = {}
        for deployment in deployments:
            template = deployment.template
            for each in deployment.instances:
                counts = each.state is InstanceState.READY and each.revision == deployment.revision
                if not counts or each.host != self._host:
                    continue
                launch = launch_of(self._folder, deployment.id, each.run, template)
                launches[template.target].append(launch)
                if (told := drifted(launch.folder, template)) is not None:
                    found[each.run] = told
        for kind, target in self._targets.present.items():
            found |= target.differences(launches[kind])
        return found


def drifted(folder: Path, template: Template) -> str | None:
    """What is not as ``template`` says, in words; None: nothing.

    Args:
        folder: Of the instance: ``<deployments>/<deployment id>/<run id>``.
        template: What it was made of.
    """
    manifest = folder / "bento" / MANIFEST_NAME
    if template.image_id is not None:
        manifest = folder / "image" / "blobs" / "sha256" / hex_of(template.digest)
    try:
        found = digest_bytes(manifest.read_bytes())
    except OSError as error:
        return f"its manifest cannot be read: {error.strerror}"
    return None if found == template.digest else f"its manifest has digest {found} instead of {template.digest}"

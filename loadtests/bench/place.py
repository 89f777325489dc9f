# SPDX-License-Identifier: Apache-2.0
"""Where a run happens: a scratch folder with the models, and the registry of this service's side.

Models are made and the registry is started when they are first asked for, so a run pays only for what it compares. The
registry is real: models are pushed, signed and downloaded, and keys are made, through the SDK.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deploy.local.stack import ROOT, LocalStack, free_port
from furoshiki import Client
from loadtests.models import Subject, subject

PEERS: Final = ROOT / ".venv-peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A model as the registry signed it, and what serving it takes."""

    bundle: Path
    trust: Path  # folder of the keys trusted
    registry: str  # URL
    service_key: Path  # file with the service's own key
    api_key: str  # of scope ``infer``


class Place:
    """One run's scratch folder; use with ``with``.

    Args:
        scratch: An empty folder.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._ending = ExitStack()
        # per instance, so that what they hold ends with it
        self.file = cache(self._file)
        self.published = cache(self._published)
        self._registry = cache(self._start_registry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def subject(self, name: str) -> Subject:
        """A model by name; see :func:`loadtests.models.subject`."""
        return subject(name)

    def folder(self, name: str) -> Path:
        """A folder of the scratch folder, made if it is missing."""
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, contender: str) -> Path:
        """Where a server's output goes."""
        return self.folder("logs") / f"{contender.replace(' ', '-').replace('/', '-')}.log"

    def _file(self, name: str) -> Path:
        file = self.folder("models") / f"{name}.onnx"
        file.write_bytes(self.subject(name).onnx)
        return file

    def _published(self, name: str) -> Published:
        stack, key = self._registry()
        bundle = self.folder("bundles") / name
        with Client(stack.registry_url, api_key=stack.admin_key) as client:
            version = client.models.push(name, self.file(name), metadata=dict(self.subject(name).metadata))
            client.versions.download(name, version.version, bundle)
        return Published(
            bundle=bundle,
            trust=stack.home / "keys" / "trust",
            registry=stack.registry_url,
            service_key=stack.home / "service.key",
            api_key=key,
        )

    def _start_registry(self) -> tuple[LocalStack, str]:
        stack = LocalStack(self.scratch / "registry", registry_port=free_port())
        self._ending.callback(stack.stop)
        stack.start(lambda _: None)
        with Client(stack.registry_url, api_key=stack.admin_key) as client:
            return stack, client.keys.create("benchmark", roles=["user"]).key


def python_of(peer: str) -> Path:
    """The interpreter of a peer's own environment."""
    return PEERS / peer / "bin" / "python"


def installed(peer: str) -> bool:
    """Whether ``make bench`` has set the peer up."""
    return (PEERS / peer / "ready").exists()

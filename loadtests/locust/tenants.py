# SPDX-License-Identifier: Apache-2.0
"""A registry and an inference service that several tenants share, started here and ended with the block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.stack import LocalStack, free_port
from furoshiki import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A running service and a key of each tenant."""

    url: str
    grpc: str  # host:port
    keys: Mapping[str, str]


@contextmanager
def shared_service(
    home: Path, *, tenants: Sequence[str], models: Sequence[Path], settings: Mapping[str, str] | None = None
) -> Iterator[Shared]:
    """Starts the service and gives each tenant a key and its own version 1 of every model.

    Args:
        home: Where its state goes; must not exist.
        tenants: Their names.
        models: Model files; a model is called like its file.
        settings: Settings of the inference service, as environment variables.
    """
    port, grpc_port = free_port(), free_port()
    stack = LocalStack(
        home,
        registry_port=free_port(),
        inference_port=port,
        inference_settings={"FUROSHIKI_GRPC__PORT": str(grpc_port), **(settings or {})},
    )
    try:
        stack.start(lambda _: None)
        with Client(stack.registry_url, api_key=stack.admin_key) as admin:
            keys = {tenant: _admitted(admin, tenant) for tenant in tenants}
        for key in keys.values():
            with Client(stack.registry_url, api_key=key) as client:
                for file in models:
                    client.models.push(file.stem, file)
        yield Shared(url=f"http://127.0.0.1:{port}", grpc=f"127.0.0.1:{grpc_port}", keys=keys)
    finally:
        stack.stop()


def _admitted(admin: Client, tenant: str) -> str:
    admin.tenants.create(tenant)
    return admin.keys.create("load test", roles=["tenant-admin"], tenant=tenant).key

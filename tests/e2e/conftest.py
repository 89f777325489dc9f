# SPDX-License-Identifier: Apache-2.0
"""A real registry, worker and inference service on loopback, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack, free_port
from deploy.local.train import Trained, train_digits
from furoshiki import Client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    running = LocalStack(
        tmp_path_factory.mktemp("stack") / "home", registry_port=free_port(), inference_port=free_port()
    )
    try:
        running.start(lambda _: None)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def admin(stack: LocalStack) -> Iterator[Client]:
    with Client(stack.registry_url, inference_url=stack.inference_url, api_key=stack.admin_key) as client:
        yield client


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_digits(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def pushed(admin: Client, digits: Trained) -> Trained:
    admin.models.push("digits", digits.file)
    return digits

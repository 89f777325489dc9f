# SPDX-License-Identifier: Apache-2.0
"""A service with every protocol on, the models the clients ask, and the clients' own Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from core.tensors import dtype_from_oip
from deploy.local.stack import ROOT, LocalStack, free_port
from deploy.local.train import Trained
from furoshiki import Client
from tests.e2e.busy import busy, loops_per_second
from tests.e2e.services.clients.suites.facts import FACTS_FILE, KINDS, Service


def kinds() -> ModelProto:
    """Every fixed-size datatype in and out."""
    inputs, outputs, nodes = [], [], []
    for datatype in KINDS:
        before, after, onnx = f"in_{datatype}", f"out_{datatype}", dtype_from_oip(datatype).onnx
        inputs.append(helper.make_tensor_value_info(before, onnx, ["rows", 3]))
        outputs.append(helper.make_tensor_value_info(after, onnx, ["rows", 3]))
        nodes.append(helper.make_node("Identity", [before], [after]))
    graph = helper.make_graph(nodes, "kinds", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def words() -> ModelProto:
    """Texts in and out."""
    text, same, twice = (
        helper.make_tensor_value_info(name, TensorProto.STRING, ["rows", 2]) for name in ("text", "same", "twice")
    )
    nodes = [
        helper.make_node("Identity", ["text"], ["same"]),
        helper.make_node("StringConcat", ["text", "text"], ["twice"]),
    ]
    graph = helper.make_graph(nodes, "words", [text], [same, twice])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.fixture(scope="session")
def every_protocol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, str]]:
    """A running stack with gRPC and shared memory, and its gRPC address."""
    grpc_port = free_port()
    running = LocalStack(
        tmp_path_factory.mktemp("clients") / "home",
        registry_port=free_port(),
        inference_port=free_port(),
        inference_settings={"FUROSHIKI_GRPC__PORT": str(grpc_port), "FUROSHIKI_SHARED_MEMORY__ENABLED": "true"},
    )
    try:
        running.start(lambda _: None)
        yield running, f"127.0.0.1:{grpc_port}"
    finally:
        running.stop()


@pytest.fixture(scope="session")
def facts(
    every_protocol: tuple[LocalStack, str], digits: Trained, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment that tells a suite of the service, once its models are there."""
    stack, grpc = every_protocol
    folder = tmp_path_factory.mktemp("facts")
    with Client(stack.registry_url, api_key=stack.admin_key) as admin:
        for name, model in (("kinds", kinds()), ("words", words()), ("busy", busy())):
            file = folder / f"{name}.onnx"
            file.write_bytes(model.SerializeToString())
            admin.models.push(name, file)
        for name in ("digits", "digits", "spare"):
            admin.models.push(name, digits.file)
        tenant = admin.whoami().tenant
        admin.tenants.create("other")
        Service(
            http=str(stack.inference_url).removeprefix("http://"),
            grpc=grpc,
            tenant=tenant,
            key=stack.admin_key,
            other_key=admin.keys.create("other", roles=["user"], tenant="other").key,
            rows=digits.inputs[:8],
            labels=digits.predicted[:8].astype(np.int64),
            second=int(loops_per_second()),
        ).write(folder / "facts.json")
    return {FACTS_FILE: str(folder / "facts.json")}


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of the clients' environment, which holds nothing of ours."""
    path = ROOT / ".venv-clients" / "bin" / "python"
    assert path.exists(), f"{path} is missing; `make test` makes that environment from deploy/locks/clients.txt"
    return path

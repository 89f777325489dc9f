# SPDX-License-Identifier: Apache-2.0
"""``furo infer``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_any_ref
from furoshiki.cli.render import print_json, show_facts
from furoshiki.errors import InvalidRequest, Unavailable
from furoshiki.inference import InferenceResult, ModelMetadata
from furoshiki.tensors import Array, datatype_of, decode_json


def _parse_inputs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Reads ``NAME=@file.npy`` to arrays, ``NAME=@file.json`` and ``NAME=[[1, 2]]`` to JSON that is typed later."""
    inputs: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name or name in inputs:
            raise click.BadParameter(f"{value!r} is not NAME=@FILE or NAME=JSON, each name once.", ctx, param)
        try:
            inputs[name] = _read(text)
        except OSError as error:
            raise click.BadParameter(f"{text[1:]!r} cannot be read: {error.strerror}.", ctx, param) from None
        except ValueError as error:
            raise click.BadParameter(f"the value of {name!r} cannot be read: {error}.", ctx, param) from None
    return inputs


def _read(text: str) -> Any:
    if not text.startswith("@"):
        return msgspec.json.decode(text.encode())
    path = Path(text[1:])
    return np.load(path, allow_pickle=False) if path.suffix == ".npy" else msgspec.json.decode(path.read_bytes())


@click.command()
@click.argument("ref", callback=parse_any_ref, metavar="MODEL[@VERSION|@ALIAS]")
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parse_inputs,
    required=True,
    help="An input: X=@file.npy, X=@file.json or X='[[1, 2]]'; repeated for every input of the model.",
)
@click.option("--json", "as_json", is_flag=True, help="Send and receive tensors as JSON instead of binary.")
@click.option("--deployment", help="Ask this deployment instead of the inference service.")
@click.option("--timeout", type=float, help="Seconds the service may take.")
@with_app
def infer(
    app: App,
    *,
    ref: Ref,
    inputs: dict[str, Any],
    as_json: bool,
    deployment: str | None,
    timeout: float | None,
) -> None:
    """Run a model once. `furo infer digits --input X=@rows.npy`.

    JSON values are given the datatype that the model declares; a .npy file is sent as it is.
    """
    url = None if deployment is None else _url_of(app, deployment)
    arrays = _typed(app, ref, inputs, url)
    result = app.client.infer(ref.model, arrays, version=ref.selector, binary=not as_json, timeout=timeout, url=url)
    _show(app, result)


def _url_of(app: App, name: str) -> str:
    deployment = app.client.deployments.get(name)
    if deployment.url is None:
        raise Unavailable("DEVICE_001", f"Deployment {name!r} is {deployment.state} and has no address.")
    return deployment.url


def _typed(app: App, ref: Ref, inputs: dict[str, Any], url: str | None) -> dict[str, Array]:
    if all(isinstance(value, np.ndarray) for value in inputs.values()):
        return inputs
    metadata = app.client.inference.metadata(ref.model, version=ref.selector, url=url)
    return {
        name: value if isinstance(value, np.ndarray) else _array(name, value, metadata)
        for name, value in inputs.items()
    }


def _array(name: str, value: Any, metadata: ModelMetadata) -> Array:
    datatype = next((tensor.datatype for tensor in metadata.inputs if tensor.name == name), None)
    if datatype is None:
        names = ", ".join(tensor.name for tensor in metadata.inputs)
        raise InvalidRequest("TENSOR_004", f"{metadata.name!r} has no input {name!r}; it has {names}.")
    data = value if isinstance(value, list) else [value]
    shape: list[int] = []
    inner: Any = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    try:
        return decode_json(data, datatype, shape)
    except ValueError as error:
        raise InvalidRequest("TENSOR_005", f"The value of {name!r} is no {datatype} array: {error}.") from None


def _show(app: App, result: InferenceResult) -> None:
    if app.output == "json":
        outputs = {
            name: {"datatype": datatype_of(array), "shape": array.shape, "data": _plain(array.tolist())}
            for name, array in result.outputs.items()
        }
        identity = {"model": result.model, "version": result.version, "digest": result.digest}
        print_json({**identity, "request_id": result.request_id, "outputs": outputs})
        return
    app.say(f"{result.model}@{result.version} {result.digest or ''}".rstrip())
    show_facts(
        [(f"{name} {array.dtype}{list(array.shape)}", np.array2string(array)) for name, array in result.outputs.items()]
    )


def _plain(value: Any) -> Any:
    """JSON of an array's elements: not finite is null, bytes that are text are text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return None if isinstance(value, float) and not math.isfinite(value) else value

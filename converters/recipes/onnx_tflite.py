# SPDX-License-Identifier: Apache-2.0
"""ONNX to TFLite by onnx2tf, which runs in an environment of its own. Batches of any size stay so.

Traps, each met by an argument or a check here: it may exit with 0 and a model that asks for operations of TensorFlow
(``-rtpo Erf`` writes that one out; the result is looked over for the rest); it turns NCHW inputs to NHWC (``-kat`` keeps each
as it is); for a static image input it downloads a sample unless the file lies in its working folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters.environments import onnx2tf
from converters.interface import MAIN_FILE, ConvertOptions, main_file, refused
from converters.isolation import die_with_parent
from converters.recipes.onnx_files import other_operations, read

STEP: Final = "onnx_to_tflite"
_ROWS: Final = 3
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_RAISED: Final = re.compile(r"[\w.]*(Error|Exception)\b")
_NODE: Final = "onnx_op_name:"
_SAMPLE: Final = "calibration_image_sample_data_20x128x128x3_float32.npy"


def from_onnx(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    model = read(main_file(source, (".onnx",), step=STEP), step=STEP)
    others = other_operations(model)
    if others:
        raise refused(f"it uses operations that TFLite does not have: {', '.join(others)}.", step=STEP)
    interpreter = onnx2tf.python()
    if interpreter is None:
        raise refused(
            f"its environment is not made: {onnx2tf.available() or 'run `python -m converters prepare`'}", step=STEP
        )
    folder = options.scratch / "onnx2tf"
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    np.save(folder / _SAMPLE, np.zeros((20, 128, 128, 3), np.float32))
    inputs = _inputs(model)
    arguments = ["-i", "model.onnx", "-o", "made", "-osd", "-rtpo", "Erf", "-kat", *inputs, "-nuo", "-v", "error"]
    ended = subprocess.run(  # noqa: S603 -- fixed arguments
        [str(interpreter), "-m", "onnx2tf", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=die_with_parent,
    )
    sys.stderr.write(ended.stdout)
    made = folder / "made" / "model_float32.tflite"
    if ended.returncode != 0 or not made.is_file():
        raise refused(f"onnx2tf ended with {ended.returncode}: {reason_in(ended.stdout)}", step=STEP)
    (target / MAIN_FILE["tflite"]).write_bytes(_checked(made, free=_free(model, inputs)))


def reason_in(log: str) -> str:
    """The last exception that onnx2tf printed, and the node at which it was; where there is none, where to look."""
    lines = [_COLOUR.sub("", line).strip() for line in log.splitlines()]
    raised = [line for line in lines if _RAISED.match(line)]
    nodes = [line.partition(_NODE)[2].strip() for line in lines if _NODE in line]
    if not raised:
        return "the job's log has its reason."
    return raised[-1][:300] + (f" (node {nodes[-1][:100]})" if nodes else "")


def _inputs(model: onnx.ModelProto) -> list[str]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in constants]


def _checked(path: Path, *, free: bool) -> bytes:
    """The model, once it was run: on three rows if its batch is free, and then its outputs are declared free as well.

    onnx2tf declares the outputs of many graphs with one row, which they do not keep to.
    """
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        for given in interpreter.get_input_details():
            if free:
                interpreter.resize_tensor_input(given["index"], [_ROWS, *given["shape"][1:]])
        interpreter.allocate_tensors()
        for given in interpreter.get_input_details():
            interpreter.set_tensor(given["index"], np.zeros(given["shape"], given["dtype"]))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise refused(f"TFLite cannot run what onnx2tf made: {' '.join(str(error).split())[:300]}", step=STEP) from None
    follow = [each["index"] for each in interpreter.get_output_details() if list(each["shape"][:1]) == [_ROWS]]
    return _declared_free(path.read_bytes(), follow) if free else path.read_bytes()


def _declared_free(data: bytes, outputs: list[int]) -> bytes:
    """Writes -1 as the first dimension of these tensors' declared shapes (``shape_signature`` of TFLite's schema)."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    for index in outputs:
        tensor = model.subgraphs[0].tensors[index]
        declared = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
        tensor.shapeSignature = [-1, *map(int, declared[1:])]
    builder = flatbuffers.Builder(len(data) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _free(model: onnx.ModelProto, inputs: list[str]) -> bool:
    """Whether the first dimension of every input is free."""
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.input if value.name in inputs]
    return all(len(shape) > 0 and not shape[0].HasField("dim_value") for shape in shapes)

# SPDX-License-Identifier: Apache-2.0
"""``torch.export`` programs: what may be in one, and loading it.

``torch.export.load`` trusts its file: it resolves the names of operators anywhere below ``torch``, evaluates expressions of
shapes with sympy, which is Python's ``eval``, and unpickles what is marked as a pickle. So the file is checked first, by
allow lists, and only what was checked is handed on:

* files of the archive: the graph, raw weights and constants, the sample inputs. No compiled code, no pickled objects;
* operators: of ``torch.ops`` (without those that open files), ``math``, ``operator`` and ``torch.sym_*``;
* expressions: numbers, symbols and arithmetic functions, as a syntax tree;
* guards are dropped: they are Python source, and the service checks shapes itself.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch.export.passes import move_to_device_pass

from core.errors import FuroshikiError
from core.tensors import ANY, Signature, TensorSpec
from runners.backends.failures import invalid, refused
from runners.backends.torch.archive import read_archive, write_archive
from runners.backends.torch.dtypes import dtype_of
from runners.backends.torch.pickles import check_pickle

RUNTIME: Final = "torch"
_GRAPH: Final = "models/model.json"
_SAMPLES: Final = "data/sample_inputs/model.pt"
_FILES: Final = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)|\.format_version|models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|extra/[\w.-]+"
)
_TARGETS: Final = re.compile(
    r"torch\.ops\.(aten|prim|prims|quantized_decomposed)\.(?!from_file|save|load|_?record_function)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|map_impl|scan|while_loop|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_|xor|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_(float|int|ite|max|min|not|sqrt|sum)|torch\._sym_sqrt"
)
_CALLS: Final = frozenset(
    (
        *(
            "Symbol",
            "Integer",
            "Float",
            "Rational",
            "Add",
            "Mul",
            "Pow",
            "Max",
            "Min",
            "Mod",
            "Abs",
            "floor",
            "ceiling",
        ),
        *(
            "FloorDiv",
            "CeilDiv",
            "CleanDiv",
            "CeilToInt",
            "FloorToInt",
            "IntTrueDiv",
            "FloatTrueDiv",
            "ModularIndexing",
        ),
        *("PythonMod", "PowByNatural", "FloatPow", "RoundToInt", "RoundDecimal", "ToFloat", "TruncToInt", "Identity"),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Where", "Piecewise", "OpaqueUnaryFn_sqrt"),
    )
)
_NAMES: Final = re.compile(r"[suz]f?\d+|int_oo|true|false|True|False")
_TREES: Final = re.compile(rb"__enum__|default_factory")  # containers whose description names what is imported
_SYNTAX: Final = (
    *(ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.operator),
    *(ast.unaryop, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop),
)


def load_program(files: dict[str, bytes], device: str) -> tuple[Any, Signature, bool]:
    """A module that runs the program, its tensors, and whether it writes to its inputs.

    Args:
        files: Of the archive.
        device: ``cpu`` or ``cuda``.

    Raises:
        ModelError: ``MODEL_003`` if the file is refused.
        Unavailable: ``DEVICE_001`` if the device has no memory for it.
    """
    checked = _checked(files)
    try:
        program = torch.export.load(write_archive(checked))
        signature = _signature(program)
        if device != "cpu":
            program = move_to_device_pass(program, device)
        module = program.module(check_guards=False)
    except FuroshikiError:
        raise
    except Exception as error:
        raise refused(RUNTIME, error) from None
    if program.graph_signature.buffers_to_mutate:
        raise invalid("The program changes its own buffers; what one request is answered would depend on others.")
    return module, signature, bool(program.graph_signature.user_inputs_to_mutate)


def _checked(files: dict[str, bytes]) -> dict[str, bytes]:
    for path in files:
        if _FILES.fullmatch(path) is None:
            raise invalid(
                f"{path[:120]!r} in the archive is nothing that a torch.export program needs; it is not read."
            )
    if _GRAPH not in files:
        raise invalid("The archive holds no 'models/model.json'; save with torch.export.save of torch 2.9 or newer.")
    kept = {path: data for path, data in files.items() if not path.startswith("extra/")}
    if _TREES.search(files[_GRAPH]):
        raise invalid("The program takes or gives more than tensors in lists, tuples and mappings.")
    graph = _json(files, _GRAPH)
    _check_graph(graph)
    graph["guards_code"] = []
    kept[_GRAPH] = json.dumps(graph).encode()
    for path in files:
        if path.endswith("_config.json") and any(
            node.get("use_pickle") is not False for node in _payloads(files, path)
        ):
            raise invalid(f"{path!r} in the archive marks a file as a pickle; only raw tensors are read.")
    if _SAMPLES in files:
        kept[_SAMPLES] = _checked_samples(files[_SAMPLES])
    return kept


def _checked_samples(data: bytes) -> bytes:
    files = read_archive(data)
    for path, content in files.items():
        if path.endswith(".pkl"):
            check_pickle(content, path=f"{_SAMPLES}/{path}")
    return write_archive(files).getvalue()


def _payloads(files: dict[str, bytes], path: str) -> list[dict[str, Any]]:
    config = _json(files, path).get("config")
    if not isinstance(config, dict) or not all(isinstance(item, dict) for item in config.values()):
        raise invalid(f"{path!r} in the archive is malformed.")
    return list(config.values())


def _json(files: dict[str, bytes], path: str) -> dict[str, Any]:
    try:
        value = json.loads(files[path])
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise invalid(f"{path!r} in the archive is no JSON object.")
    return value


def _check_graph(graph: dict[str, Any]) -> None:
    for node in _objects(graph):
        targets = [node[key] for key in ("target", "as_operator") if isinstance(node.get(key), str)]
        if "inputs" not in node and "as_operator" not in node:
            targets = []
        for target in targets:
            if _TARGETS.fullmatch(target) is None:
                raise invalid(f"The program calls {target[:120]!r}, which is no operator that is run here.")
        for key in ("as_custom_obj", "as_opaque"):
            if node.get(key) is not None:
                raise invalid("The program uses an object of a native class; only tensors and numbers are run.")
        if "expr_str" in node:
            _check_expression(node["expr_str"])
    for name in graph.get("range_constraints") or {}:
        _check_expression(name)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object below a value."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _check_expression(text: object) -> None:
    """Refuses an expression that is more than arithmetic on symbols."""
    try:
        if not isinstance(text, str) or len(text) > 10_000:
            raise ValueError("no short text")
        for node in ast.walk(ast.parse(text.strip(), mode="eval")):
            _check_syntax(node)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise invalid(f"The program has {str(text)[:120]!r} for a size, which is no arithmetic on symbols.") from None


def _check_syntax(node: ast.AST) -> None:
    if not isinstance(node, _SYNTAX):
        raise ValueError(type(node).__name__)  # noqa: TRY004
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _CALLS):
        raise ValueError("call")
    if isinstance(node, ast.Name) and node.id not in _CALLS and _NAMES.fullmatch(node.id) is None:
        raise ValueError(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAMES.fullmatch(node.value) is None:
        raise ValueError(node.value)


def _signature(program: Any) -> Signature:
    """Its user inputs by name; outputs by the keys of the mapping it returns, else ``output_0`` and so on."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    outputs = [values[name] for name in program.graph_signature.user_outputs]
    return Signature(
        inputs=tuple(_spec(name, values[name]) for name in program.graph_signature.user_inputs),
        outputs=tuple(_spec(name, value) for name, value in zip(_names(program, len(outputs)), outputs, strict=True)),
    )


def _names(program: Any, count: int) -> list[str]:
    spec = program.call_spec.out_spec
    if spec is not None and spec.type is dict:
        return [str(key) for key in spec.context]
    return [f"output_{index}" for index in range(count)]


def _spec(name: str, value: Any) -> TensorSpec:
    if not isinstance(value, torch.Tensor):
        raise invalid(f"{name!r} of the program is {type(value).__name__}; only tensors are served.")
    shape = tuple(size if isinstance(size, int) else ANY for size in value.shape)
    return TensorSpec(name=name, dtype=dtype_of(value.dtype), shape=shape)

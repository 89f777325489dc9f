# SPDX-License-Identifier: Apache-2.0
"""What a SavedModel may not contain: operators that reach beyond the model.

A TensorFlow graph is a program with operators that read and write files, and others that call Python. Before the model is
loaded its file is read and refused if it has one of them. Saving and restoring need such operators; they may stand in the
functions that TensorFlow's own saver makes, and those may be called from the outermost graph only, which is not served.

Reference: https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md, "TensorFlow models are programs".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from runners.backends.failures import invalid

_NEVER: Final = frozenset(
    (
        *("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc"),
        *("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "TFRecordReader"),
        *("TFRecordReaderV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "LMDBReader"),
        *("TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset"),
        *("FixedLengthRecordDatasetV2", "MatchingFilesDataset", "CSVDataset", "CSVDatasetV2", "SqlDataset"),
        *("ExperimentalCSVDataset", "ExperimentalSqlDataset", "ExperimentalLMDBDataset", "LMDBDataset"),
        *("ExperimentalMatchingFilesDataset", "CacheDataset", "CacheDatasetV2", "SnapshotDataset"),
        *("SnapshotDatasetV2", "SaveDataset", "SaveDatasetV2", "LoadDataset", "DistributedSave", "DebugIdentityV2"),
        *("CreateSummaryFileWriter", "CreateSummaryDbWriter", "WriteSummary", "WriteGraphSummary", "PrintV2", "Print"),
        *("RpcCall", "RpcClient", "RpcServer", "DataServiceDataset", "DataServiceDatasetV2", "LoadLibrary"),
    )
)
_SAVER: Final = frozenset(
    (
        *("Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice"),
        *("MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"),
    )
)
_SAVER_FUNCTION: Final = re.compile(r"__inference_+traced_(save|restore)_\d+")


def check_graph(data: bytes) -> None:
    """Refuses a ``saved_model.pb`` with operators that reach beyond the model.

    Raises:
        ModelError: ``MODEL_003`` naming the operator, or if the file cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise invalid("TensorFlow refuses the model: saved_model.pb is no SavedModel.") from None
    for graph in model.meta_graphs:
        named = [name for name in graph.object_graph_def.concrete_functions if _SAVER_FUNCTION.fullmatch(name)]
        if named:
            raise invalid(f"The model serves {named[0]!r}, a function that reads or writes files.")
        _check_nodes(graph.graph_def.node, within="the graph", saver=True)
        for function in graph.graph_def.library.function:
            name = function.signature.name
            _check_nodes(function.node_def, within=f"function {name!r}", saver=bool(_SAVER_FUNCTION.fullmatch(name)))


def _check_nodes(nodes: Iterable[Any], *, within: str, saver: bool) -> None:
    for node in nodes:
        if node.op in _NEVER or (node.op in _SAVER and not saver):
            raise invalid(
                f"The model has operator {node.op} in {within}, which reaches beyond the model; export without it."
            )
        called = next((name for name in _called(node) if _SAVER_FUNCTION.fullmatch(name)), None)
        if called is not None and within != "the graph":
            raise invalid(f"The model calls {called!r} in {within}, a function that reads or writes files.")


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name

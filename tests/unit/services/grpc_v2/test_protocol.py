# SPDX-License-Identifier: Apache-2.0
"""The protocol's numbers, which are never to change, and the code that is generated from them."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor

from deploy.local.protocols import outdated
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.testing import INFERENCE

# Names and numbers as public clients have them; a field that is missing here is ours.
NUMBERS = {
    "ModelInferRequest": "model_name=1 model_version=2 id=3 parameters=4 inputs=5 outputs=6 raw_input_contents=7",
    "ModelInferRequest.InferInputTensor": "name=1 datatype=2 shape=3 parameters=4 contents=5",
    "ModelInferRequest.InferRequestedOutputTensor": "name=1 parameters=2",
    "ModelInferResponse": "model_name=1 model_version=2 id=3 parameters=4 outputs=5 raw_output_contents=6",
    "ModelInferResponse.InferOutputTensor": "name=1 datatype=2 shape=3 parameters=4 contents=5",
    "ModelStreamInferResponse": "error_message=1 infer_response=2",
    "InferParameter": "bool_param=1 int64_param=2 string_param=3 double_param=4 uint64_param=5",
    "InferTensorContents": "bool_contents=1 int_contents=2 int64_contents=3 uint_contents=4 uint64_contents=5 "
    "fp32_contents=6 fp64_contents=7 bytes_contents=8",
    "ServerLiveResponse": "live=1",
    "ServerReadyResponse": "ready=1",
    "ModelReadyRequest": "name=1 version=2",
    "ModelReadyResponse": "ready=1",
    "ServerMetadataResponse": "name=1 version=2 extensions=3",
    "ModelMetadataRequest": "name=1 version=2",
    "ModelMetadataResponse": "name=1 versions=2 platform=3 inputs=4 outputs=5 properties=6",
    "ModelMetadataResponse.TensorMetadata": "name=1 datatype=2 shape=3",
    "ModelStatisticsRequest": "name=1 version=2",
    "ModelStatisticsResponse": "model_stats=1",
    "ModelStatistics": "name=1 version=2 last_inference=3 inference_count=4 execution_count=5 inference_stats=6 "
    "batch_stats=7 memory_usage=8 response_stats=9",
    "InferStatistics": "success=1 fail=2 queue=3 compute_input=4 compute_infer=5 compute_output=6 cache_hit=7 cache_miss=8",
    "InferBatchStatistics": "batch_size=1 compute_input=2 compute_infer=3 compute_output=4",
    "InferResponseStatistics": "compute_infer=1 compute_output=2 success=3 fail=4 empty_response=5 cancel=6",
    "StatisticDuration": "count=1 ns=2",
    "MemoryUsage": "type=1 id=2 byte_size=3",
    "RepositoryIndexRequest": "repository_name=1 ready=2",
    "RepositoryIndexResponse": "models=1",
    "RepositoryIndexResponse.ModelIndex": "name=1 version=2 state=3 reason=4",
    "RepositoryModelLoadRequest": "repository_name=1 model_name=2 parameters=3",
    "RepositoryModelUnloadRequest": "repository_name=1 model_name=2 parameters=3",
    "ModelRepositoryParameter": "bool_param=1 int64_param=2 string_param=3 bytes_param=4",
    "SystemSharedMemoryStatusRequest": "name=1",
    "SystemSharedMemoryStatusResponse": "regions=1",
    "SystemSharedMemoryStatusResponse.RegionStatus": "name=1 key=2 offset=3 byte_size=4",
    "SystemSharedMemoryRegisterRequest": "name=1 key=2 offset=3 byte_size=4",
    "SystemSharedMemoryUnregisterRequest": "name=1",
    "CudaSharedMemoryStatusRequest": "name=1",
    "CudaSharedMemoryStatusResponse": "regions=1",
    "CudaSharedMemoryStatusResponse.RegionStatus": "name=1 device_id=2 byte_size=3",
    "CudaSharedMemoryUnregisterRequest": "name=1",
}


def find(name: str) -> Descriptor:
    first, *inner = name.split(".")
    found: Descriptor = pb.DESCRIPTOR.message_types_by_name[first]
    for part in inner:
        found = found.nested_types_by_name[part]
    return found


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str) -> None:
    """Each message has the fields and numbers of the protocol."""
    assert " ".join(f"{field.name}={field.number}" for field in find(name).fields) == NUMBERS[name]


def test_the_service() -> None:
    """The service has the protocol's name; one of its methods is a stream in both directions."""
    assert INFERENCE.full_name == "inference.GRPCInferenceService"
    streams = [m.name for m in INFERENCE.methods if m.client_streaming or m.server_streaming]
    assert streams == ["ModelStreamInfer"]


def test_generated_code_is_current() -> None:
    """Generating again changes nothing, for any protocol of the tree."""
    assert outdated() == []

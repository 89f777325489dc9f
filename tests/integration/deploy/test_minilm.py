# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2: the exported graph is the published model, alone, in batches and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from core.tensors import ANY, Array, DType, Signature, TensorSpec
from deploy.local.sentences import SENTENCES, neighbours_agree
from runners.backends.onnx.backend import OnnxRunner
from runners.batching.batcher import Batcher
from runners.batching.options import BatchOptions
from runners.batching.policy import BatchLimits
from runners.batching.testing import teach
from runners.interface import StopSignal
from runners.testing import request_of
from services.testing import MODEL, loaded, serving

if TYPE_CHECKING:
    from tests.integration.deploy.conftest import Exported

pytestmark = [pytest.mark.full, pytest.mark.slow]

OUTPUT = "sentence_embedding"
TOLERANCE = 1e-5


class Recording:
    """The real runner, which also notes the shape of every batch it is given."""

    def __init__(self, runner: OnnxRunner) -> None:
        self.name = runner.name
        self.signature = runner.signature
        self.shapes: list[tuple[int, ...]] = []
        self._runner = runner

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        self.shapes.append(inputs["input_ids"].shape)
        return self._runner.run(inputs, stop)

    def close(self) -> None:
        self._runner.close()


def request(tokens: Mapping[str, Array]) -> dict[str, Any]:
    """An inference request of the Open Inference Protocol, as JSON."""
    return {
        "inputs": [
            {"name": name, "datatype": "INT64", "shape": list(array.shape), "data": array.ravel().tolist()}
            for name, array in tokens.items()
        ]
    }


def embeddings(reply: httpx.Response) -> Array:
    """The one output of a JSON reply."""
    assert reply.status_code == 200, reply.text
    (output,) = reply.json()["outputs"]
    assert (output["name"], output["datatype"]) == (OUTPUT, "FP32")
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


def test_the_signature_is_batched(runner: OnnxRunner) -> None:
    """Ids and mask of any batch and length go in, one embedding of 384 numbers per sentence comes out."""
    assert runner.signature == Signature(
        inputs=(
            TensorSpec(name="input_ids", dtype=DType.INT64, shape=(ANY, ANY)),
            TensorSpec(name="attention_mask", dtype=DType.INT64, shape=(ANY, ANY)),
        ),
        outputs=(TensorSpec(name=OUTPUT, dtype=DType.FP32, shape=(ANY, 384)),),
    )
    assert runner.signature.batched


def test_the_graph_computes_what_sentence_transformers_computes(minilm: Exported, runner: OnnxRunner) -> None:
    """Alone and padded together, every embedding is the published model's to 1e-5, and the export says so."""
    expected = minilm.model.embed(SENTENCES)
    alone = np.concatenate([runner.run(minilm.model.tokens([sentence]))[OUTPUT] for sentence in SENTENCES])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(runner.run(minilm.model.tokens(SENTENCES))[OUTPUT], expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, rtol=1e-6)
    assert minilm.error <= TOLERANCE
    assert neighbours_agree(alone) == neighbours_agree(expected) >= 0.8


def test_long_text_is_cut_where_the_model_cuts_it(minilm: Exported, runner: OnnxRunner) -> None:
    """A text of more than 256 tokens is embedded as sentence-transformers does, from its first 256."""
    text = " ".join(SENTENCES)
    tokens = minilm.model.tokens([text])
    assert tokens["input_ids"].shape == (1, 256)
    np.testing.assert_allclose(runner.run(tokens)[OUTPUT], minilm.model.embed([text]), rtol=0, atol=TOLERANCE)


def test_the_file_stands_alone(minilm: Exported) -> None:
    """The weights are inside the one file, which tells nothing of the machine that exported it."""
    assert [path.name for path in minilm.file.parent.iterdir()] == [minilm.file.name]
    data = minilm.file.read_bytes()
    assert not any(trace in data for trace in (b"site-packages", b"stack_trace", b'.py"'))


def test_a_wrong_graph_is_noticed(minilm: Exported, runner: OnnxRunner) -> None:
    """A graph with the word embeddings scaled by 1 % is farther from the model than the export accepts."""
    graph = onnx.load(minilm.file)
    weights = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.01), weights.name))
    wrong = minilm.file.parent.parent / "wrong.onnx"
    onnx.save(graph, wrong)
    assert minilm.model.error_of(wrong) > TOLERANCE


async def test_ragged_requests_share_batches_by_length(minilm: Exported, runner: OnnxRunner) -> None:
    """Sentences sent at once are batched with those of exactly their length, unpadded, and each gets its own embedding."""
    recording = Recording(runner)
    requests = [minilm.model.tokens([sentence]) for sentence in SENTENCES]
    handle = loaded(recording).handle
    results = await asyncio.gather(*(handle.infer(request_of(tokens)) for tokens in requests))
    await handle.close()
    lengths = [tokens["input_ids"].shape[1] for tokens in requests]
    assert sorted(length for rows, length in recording.shapes for _ in range(rows)) == sorted(lengths)
    assert len(set(lengths)) <= len(recording.shapes) < len(requests)
    alone = minilm.model.embed(SENTENCES)
    np.testing.assert_allclose(np.concatenate([r[OUTPUT] for r in results]), alone, rtol=0, atol=TOLERANCE)


async def test_declared_lengths_share_a_padded_batch(minilm: Exported, runner: OnnxRunner) -> None:
    """Texts of different lengths run together, padded and masked, and each gets the embedding it gets alone."""
    declared = {
        "batching.ragged": '{"input_ids": 1, "attention_mask": 1}',
        "batching.ragged_mask": "attention_mask",
    }
    recording = Recording(runner)
    options = BatchOptions.read(declared, runner.signature)
    batcher = Batcher(recording, limits=BatchLimits(), instances=1, label="acme/minilm@1", options=options)
    teach(batcher._queue.lengths, lambda units: 0.01)  # company is free, so everything is padded to the longest
    requests = [minilm.model.tokens([sentence]) for sentence in SENTENCES]
    results = await asyncio.gather(*(batcher.infer(request_of(tokens)) for tokens in requests))
    batcher.close()
    lengths = [tokens["input_ids"].shape[1] for tokens in requests]
    assert len(set(lengths)) > len(recording.shapes)
    alone = minilm.model.embed(SENTENCES)
    np.testing.assert_allclose(np.concatenate([r[OUTPUT] for r in results]), alone, rtol=0, atol=TOLERANCE)


async def test_it_is_served(minilm: Exported, runner: OnnxRunner) -> None:
    """Over HTTP, many single requests at once and one padded batch give the published model's embeddings to 1e-5."""
    bodies = [request(minilm.model.tokens([sentence])) for sentence in SENTENCES]
    async with serving(runner) as client:
        url = f"/v2/models/{MODEL}/infer"
        replies = await asyncio.gather(*(client.post(url, json=body) for body in bodies))
        batch = await client.post(url, json=request(minilm.model.tokens(SENTENCES)))
    expected = minilm.model.embed(SENTENCES)
    alone = np.concatenate([embeddings(reply) for reply in replies])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(embeddings(batch), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("ids", "mask", "status"),
    [((1, 13), (1, 14), 400), ((2, 13), (1, 13), 400), ((13,), (13,), 400)],
    ids=["lengths", "rows", "rank"],
)
async def test_inputs_that_do_not_fit_each_other_are_refused(
    runner: OnnxRunner, ids: tuple[int, ...], mask: tuple[int, ...], status: int
) -> None:
    """Ids and mask of other rows, rank or lengths are the caller's error; the lengths only the runtime can compare."""
    wrong = {"input_ids": np.ones(ids, dtype=np.int64), "attention_mask": np.ones(mask, dtype=np.int64)}
    async with serving(runner) as client:
        reply = await client.post(f"/v2/models/{MODEL}/infer", json=request(wrong))
    assert reply.status_code == status


async def test_a_token_out_of_the_vocabulary_fails_alone(minilm: Exported, runner: OnnxRunner) -> None:
    """Of requests of one length sent at once, only that with an unknown token id fails; the others get their embedding."""
    sentences = [sentence for sentence in SENTENCES if minilm.model.tokens([sentence])["input_ids"].shape == (1, 13)]
    bodies = [request(minilm.model.tokens([sentence])) for sentence in sentences]
    poisoned = len(bodies) // 2
    bodies[poisoned]["inputs"][0]["data"][3] = 30_522
    async with serving(runner) as client:
        replies = await asyncio.gather(*(client.post(f"/v2/models/{MODEL}/infer", json=body) for body in bodies))
    assert len(bodies) > 5
    assert replies.pop(poisoned).status_code == 400
    del sentences[poisoned]
    got = np.concatenate([embeddings(reply) for reply in replies])
    np.testing.assert_allclose(got, minilm.model.embed(sentences), rtol=0, atol=TOLERANCE)

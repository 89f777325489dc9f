# SPDX-License-Identifier: Apache-2.0
"""The demo's sentences and the score computed over them."""

from __future__ import annotations

import numpy as np

from deploy.local.sentences import BY_TOPIC, SENTENCES, TOPICS, neighbours_agree


def test_every_sentence_has_its_topic() -> None:
    """Forty different sentences, five to each of eight topics, in the order of the topics."""
    assert len(set(SENTENCES)) == len(SENTENCES) == len(TOPICS) == 40
    assert [len(sentences) for sentences in BY_TOPIC.values()] == [5] * 8
    assert all(sentence in BY_TOPIC[topic] for sentence, topic in zip(SENTENCES, TOPICS, strict=True))


def test_topics_that_stand_apart_agree_fully() -> None:
    """Embeddings that depend on the topic alone have every neighbour in their topic."""
    assert neighbours_agree(np.repeat(np.eye(8), 5, axis=0)) == 1.0


def test_a_sentence_is_not_its_own_neighbour() -> None:
    """Embeddings in which each sentence is near only to one of another topic agree nowhere."""
    pairs = np.zeros((40, 20))
    pairs[np.arange(40), np.arange(40) % 20] = 1
    assert neighbours_agree(pairs) == 0.0

# SPDX-License-Identifier: Apache-2.0
"""Forty short English sentences on eight topics, written for this project: what the demo and the tests embed.

Each topic has five sentences that share few words, so that a sentence is close to the others of its topic by meaning.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

BY_TOPIC: Final = {
    "cooking": (
        "Simmer the onions in butter until they are soft.",
        "The bread needs another hour to rise before it goes into the oven.",
        "She seasoned the soup with thyme and a little lemon.",
        "Whisk the eggs and the sugar, then fold in the flour.",
        "A sharp knife makes chopping vegetables much easier.",
    ),
    "weather": (
        "Heavy rain is expected along the coast tonight.",
        "The fog lifted before noon and the sky turned blue.",
        "A cold front will bring snow to the mountains.",
        "Strong winds knocked down trees during the storm.",
        "Temperatures will climb above thirty degrees by Friday.",
    ),
    "football": (
        "The striker scored twice in the second half.",
        "The goalkeeper saved a penalty in the last minute.",
        "Our team lost the cup final after extra time.",
        "The referee showed the defender a red card.",
        "Thousands of supporters filled the stadium for the match.",
    ),
    "astronomy": (
        "Jupiter has more than ninety known moons.",
        "The telescope captured light from a distant galaxy.",
        "A total solar eclipse will be visible next spring.",
        "Astronomers found a planet that orbits two stars.",
        "The comet's tail stretched millions of kilometres into space.",
    ),
    "music": (
        "The violinist tuned her instrument before the concert.",
        "He practises scales on the piano every morning.",
        "The band recorded their new album in a small studio.",
        "The choir sang a hymn in four-part harmony.",
        "Her guitar solo drew long applause from the audience.",
    ),
    "finance": (
        "The central bank raised interest rates by a quarter point.",
        "Shares fell sharply after the company cut its profit forecast.",
        "She invests part of her salary in index funds.",
        "Inflation has made it harder to save money.",
        "They took out a mortgage to buy their first apartment.",
    ),
    "gardening": (
        "Water the tomato seedlings early in the morning.",
        "He pruned the roses at the end of winter.",
        "Compost improves the soil and feeds the plants.",
        "The tulips we planted in autumn are starting to bloom.",
        "Slugs have eaten the leaves of my lettuce.",
    ),
    "medicine": (
        "The doctor prescribed antibiotics for the infection.",
        "A vaccine protects most patients from severe illness.",
        "The nurse measured his blood pressure twice.",
        "Surgeons replaced her hip in a two-hour operation.",
        "Regular exercise lowers the risk of heart disease.",
    ),
}
SENTENCES: Final = tuple(sentence for sentences in BY_TOPIC.values() for sentence in sentences)
TOPICS: Final = tuple(topic for topic, sentences in BY_TOPIC.items() for _ in sentences)


def neighbours_agree(embeddings: npt.NDArray[Any]) -> float:
    """The share of the sentences whose nearest other one has the same topic.

    Args:
        embeddings: One row of length 1 per sentence, in the order of ``SENTENCES``.
    """
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -np.inf)
    topics = np.array(TOPICS)
    return float((topics[similarity.argmax(axis=1)] == topics).mean())

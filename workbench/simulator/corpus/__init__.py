"""What the simulated models say: seeded Markdown that answers something about the prompt, each model in its own voice.

The same words go in, the same text comes out. Nothing here knows about tokens on a wire, models' limits or time.
"""

from __future__ import annotations

import random

from workbench.simulator.corpus.composer import compose
from workbench.simulator.corpus.library import best_topic
from workbench.simulator.corpus.question import read, subject_of, words_of
from workbench.simulator.corpus.thoughts import think as _think
from workbench.simulator.models import Style

__all__ = ["SUGGESTIONS", "as_object", "decline", "subject_of", "think", "words_of", "write"]

SUGGESTIONS = (
    "Explain how an event loop works, and where it stops helping.",
    "Compare B-tree and hash indexes for a busy orders table.",
    "Write a rate limiter in Python and explain its edge cases.",
    "Why does entropy only ever grow?",
    "Give me five tips for better sourdough bread.",
    "Translate “good morning” into Japanese, Arabic and Hindi.",
    "Solve 2x^2 - 7x + 3 = 0.",
)
"""Prompts that show the corpus at its best; for demonstrations and screenshots."""


def write(question: str, style: Style, tokens: int, rng: random.Random, *, system: str = "", earlier: str = "") -> str:
    """An answer of about so many tokens, fewer when there is no more to say. `earlier` was asked before."""
    return compose(read(question, system, earlier), style, tokens, rng)


def think(question: str, tokens: int, rng: random.Random) -> str:
    """At least so many tokens of reasoning."""
    return _think(read(question), tokens, rng)


def decline(question: str, rng: random.Random) -> str:
    subject = subject_of(question)
    return rng.choice(
        (
            f"I’m sorry, but I can’t help with {subject}. I’d be glad to help with something else.",
            f"I’m not able to assist with that request about {subject}.",
            "I can’t help with this one. If you tell me what you are trying to achieve, there may be another way.",
        )
    )


def as_object(question: str, rng: random.Random) -> dict[str, object]:
    """A JSON object, when any will do."""
    topic = best_topic(question)
    subject = subject_of(question)
    points = [point.text for point in topic.points[:3]] if topic else [f"It depends on what {subject} is for."]
    return {
        "subject": subject,
        "answer": topic.definition if topic else f"{subject} is worth a closer look.",
        "points": points,
        "confidence": round(rng.uniform(0.6, 0.95), 2),
    }

"""What a reasoning model mutters before it answers."""

from __future__ import annotations

import random

from workbench.simulator.corpus.generic import capitalised, observations, uncapitalised
from workbench.simulator.corpus.library import best_topic
from workbench.simulator.corpus.question import Kind, Question
from workbench.simulator.tokens import count_tokens

_HEADINGS = (
    "Understanding the question", "Looking for the core", "Weighing the options", "Checking the details",
    "Considering what could go wrong", "Choosing a structure", "Looking at it from the other side",
    "Settling the scope",     "Testing with an example", "Preparing the answer",
)  # fmt: skip
_OPENERS = {
    Kind.CODE: "They want working code for {s}, so correctness at the edges comes before cleverness.",
    Kind.COMPARE: "They want {s} held against {o}; a fair comparison needs the same questions asked of both.",
    Kind.MATHS: "Let me do this carefully and check the result at the end.",
    Kind.TRANSLATE: "A translation should sound natural first and be literal second.",
    Kind.CREATIVE: "This should have a voice of its own, and {s} should be in it without being announced.",
    Kind.LIST: "They want a list about {s}; the items should differ in kind, not only in wording.",
    Kind.STEPS: "They want to do {s}, not to read about it: order and checkpoints matter most.",
}
_STEPS = (
    "The question says “{s}”, which could be read narrowly or broadly; the broad reading seems more useful.",
    "What would somebody who already knows the basics of {s} still find helpful here?",
    "I should say what {s} is before saying what to do about it.",
    "An example will do more than another paragraph of theory.",
    "Let me make sure not to promise more certainty about {s} than there is.",
    "A table might help, but only if its rows are really parallel.",
    "The obvious objection is cost, so that should be addressed early rather than in passing.",
    "Is there a simpler way to put this? Probably: one sentence, then the reasons.",
    "Wait, I should double-check the direction of that effect before relying on it.",
    "That holds in general; the exception is worth a single line, no more.",
    "Length: long enough to be useful, short enough to be read to the end.",
    "Then a closing line that says what to do next.",
)


def think(question: Question, tokens: int, rng: random.Random) -> str:
    """At least so many tokens of it, in short paragraphs under bold headings."""
    subject, other = question.subject, question.other or "the alternative"
    topic = best_topic(question.text)
    opener = _OPENERS.get(question.kind, "So this is about {s}. What exactly is being asked?")
    lines = [opener, *rng.sample(_STEPS, k=len(_STEPS))]
    if topic is not None:
        lines[3:3] = [f"What I know for certain: {uncapitalised(point.text)}" for point in topic.points[:2]]
    headings = list(rng.sample(_HEADINGS, k=len(_HEADINGS)))
    more = observations(subject, rng)
    parts: list[str] = []
    length = 0
    while length < tokens:
        if len(parts) % 4 == 0:
            block = f"**{headings.pop() if headings else capitalised(subject) + ', again'}**\n\n"
        else:
            line = lines.pop(0) if lines else next(more)
            block = line.replace("{s}", subject).replace("{o}", other) + (" " if len(parts) % 4 < 3 else "\n\n")
        parts.append(block)
        length += count_tokens(block)
    return "".join(parts)

"""Explanations: one topic in six voices."""

from __future__ import annotations

import random
from collections.abc import Iterator

from workbench.simulator.corpus.generic import capitalised, uncapitalised
from workbench.simulator.corpus.library import Topic, proverbs
from workbench.simulator.corpus.markdown import bullets, code_of, numbered, proverb_block, table
from workbench.simulator.models import Style

EMOJI = ("🙂", "✨", "💡", "👍🏽", "🧭", "🌱", "👩‍🔬", "🧑‍🏫", "🚀", "📝", "🔎", "✅")


def explanation(topic: Topic, style: Style, rng: random.Random) -> Iterator[str]:
    match style:
        case Style.STRUCTURED:
            yield from _structured(topic, rng)
        case Style.PLAIN:
            yield from _plain(topic, rng)
        case Style.TERSE:
            yield from _terse(topic, rng)
        case Style.WARM:
            yield from _warm(topic, rng)
        case Style.ACADEMIC:
            yield from _academic(topic, rng)
        case Style.TABULAR:
            yield from _tabular(topic, rng)


def _structured(topic: Topic, rng: random.Random) -> Iterator[str]:
    yield f"## {capitalised(topic.name)}"
    yield topic.definition
    yield "### How it works"
    points = rng.sample(topic.points, k=len(topic.points))
    yield "\n".join(f"- **{point.title}.** {point.text}\n  - {point.detail}" for point in points[:3])
    yield code_of(topic)
    yield "### What to watch out for"
    yield bullets(topic.pitfalls)
    yield from (f"**{point.title}.** {point.text} {point.detail}" for point in points[3:])
    yield table(topic.table, topic.rows)


def _plain(topic: Topic, rng: random.Random) -> Iterator[str]:
    points = rng.sample(topic.points, k=len(topic.points))
    yield f"It helps to begin with what goes wrong. {rng.choice(topic.pitfalls)}"
    yield f"To see why, one has to know what {topic.name} comes down to. {topic.definition} {points[0].text}"
    for first, second in zip(points[1::2], points[2::2], strict=False):
        yield f"{first.text} {first.detail} {second.text}"
    yield topic.analogy
    yield from (point.detail for point in points[2::2])


def _terse(topic: Topic, rng: random.Random) -> Iterator[str]:
    yield topic.definition
    points = rng.sample(topic.points, k=len(topic.points))
    yield bullets(f"**{point.title}**: {point.text}" for point in points[:3])
    yield f"Watch out: {rng.choice(topic.pitfalls)}"
    yield code_of(topic)
    yield bullets(point.detail for point in points)


def _warm(topic: Topic, rng: random.Random) -> Iterator[str]:
    opener = rng.choice(
        (
            "Happy to go through it.",
            "This is one of those things that look harder than they are.",
            "Good thing to ask, because the usual explanations skip the interesting part.",
        )
    )
    yield f"{opener} {topic.analogy} {rng.choice(EMOJI)}"
    yield f"Put plainly: {uncapitalised(topic.definition)}"
    points = rng.sample(topic.points, k=len(topic.points))
    for point in points[:3]:
        yield f"**{point.title}.** {point.text} {point.detail}"
    yield "Three things that trip people up:"
    yield numbered(topic.pitfalls)
    yield from (f"**{point.title}.** {point.text} {point.detail}" for point in points[3:])
    yield proverb_block(rng.choice(proverbs()))


def _academic(topic: Topic, rng: random.Random) -> Iterator[str]:
    yield f"**Definition.** {topic.definition}"
    if topic.formula:
        yield topic.formula
    points = rng.sample(topic.points, k=len(topic.points))
    for number, point in enumerate(points[:3], 1):
        yield f"### {number}. {point.title}"
        yield f"{point.text} {point.detail}"
    yield "\n".join(f"> {line}" for line in (f"**Remark.** {topic.pitfalls[0]}", "", topic.pitfalls[-1]))
    yield table(topic.table, topic.rows)
    yield code_of(topic)
    for number, point in enumerate(points[3:], 4):
        yield f"### {number}. {point.title}"
        yield f"{point.text} {point.detail}"
    yield f"**Intuition.** {topic.analogy}"


def _tabular(topic: Topic, rng: random.Random) -> Iterator[str]:
    points = rng.sample(topic.points, k=len(topic.points))
    yield f"In one line: {uncapitalised(points[0].text)}"
    yield table(topic.table, topic.rows)
    yield "**Key points**"
    yield bullets(f"*{point.title}*: {point.text}" for point in points[1:])
    if topic.formula:
        yield topic.formula
    yield "| Pitfall |\n| :-- |\n" + "\n".join(f"| {text} |" for text in topic.pitfalls)
    yield bullets(point.detail for point in points)

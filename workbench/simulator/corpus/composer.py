"""Puts an answer together: what kind of question, in whose voice, at what length."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from itertools import count

from workbench.simulator.corpus import maths
from workbench.simulator.corpus.coding import code_answer
from workbench.simulator.corpus.explaining import EMOJI, explanation
from workbench.simulator.corpus.generic import CHECKLIST, capitalised, observations, topic_about
from workbench.simulator.corpus.library import Point, Topic, best_topic, phrase_in, proverbs
from workbench.simulator.corpus.markdown import bullets, numbered, proverb_block, table
from workbench.simulator.corpus.question import Kind, Question
from workbench.simulator.models import Style
from workbench.simulator.tokens import count_tokens

PADS_FROM = 700
"""Tokens from which an answer is filled up to its length; below that it ends when everything has been said."""


class Draft:
    """Blocks of Markdown up to a length. The block that crosses the line is still taken: answers end in sentences."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.length = 0
        self.blocks: list[str] = []

    @property
    def is_full(self) -> bool:
        return self.length >= self.target

    def add(self, block: str) -> None:
        if block and not self.is_full:
            self.blocks.append(block)
            self.length += count_tokens(block) + 1

    def extend(self, blocks: Iterable[str]) -> None:
        for block in blocks:
            if self.is_full:
                return
            self.add(block)

    def text(self) -> str:
        return "\n\n".join(self.blocks)


def compose(question: Question, style: Style, target: int, rng: random.Random) -> str:
    """Markdown of about `target` tokens."""
    if question.words:
        target = max(8, question.words * 4 // 3)
    known = best_topic(question.text)
    topic = known or topic_about(question.subject, rng)
    if question.brief and not question.words:
        return _brief(question, topic, rng)
    draft = Draft(target)
    match question.kind:
        case Kind.GREETING:
            return _greeting(style, rng)
        case Kind.TRANSLATE:
            draft.extend(_translation(question, style, rng))
            return draft.text()
        case Kind.CREATIVE:
            draft.extend(_creative(question, topic, rng))
        case Kind.SUMMARY:
            draft.extend(_summary(question, topic))
        case Kind.CODE:
            draft.extend(code_answer(question, known, style, rng))
        case Kind.COMPARE:
            draft.extend(_comparison(question, known, style, rng))
        case Kind.MATHS:
            draft.extend(maths.solve(question.text, rng) or explanation(topic, style, rng))
            if len(draft.blocks) <= 6:
                return draft.text()  # a sum needs no padding
        case Kind.LIST | Kind.STEPS:
            draft.extend(_numbered(question, topic, style, rng, is_known=known is not None))
        case Kind.EXPLAIN:
            draft.extend(explanation(topic, style, rng))
    if question.words or target >= PADS_FROM:
        draft.extend(_more(topic.name, style, rng))
    elif rng.random() < 0.25:
        draft.add(proverb_block(rng.choice(proverbs())))
    closing = "" if question.kind in (Kind.CREATIVE, Kind.SUMMARY, Kind.CODE) else _closing(topic.name, style, rng)
    return f"{draft.text()}\n\n{closing}" if closing else draft.text()


def _brief(question: Question, topic: Topic, rng: random.Random) -> str:
    if question.kind is Kind.MATHS:
        solved = maths.solve(question.text, rng)
        if solved:
            return next(block for block in reversed(solved) if "=" in block)
    if question.kind is Kind.TRANSLATE:
        return next(iter(_translation(question, Style.TERSE, rng)))
    if question.kind is Kind.COMPARE:
        return (
            f"{capitalised(question.subject)} where the cost of a mistake is high; {question.other} where speed counts."
        )
    return topic.definition


def _greeting(style: Style, rng: random.Random) -> str:
    if style is Style.TERSE:
        return "Hello. What would you like to know?"
    return rng.choice(
        (
            f"Hello! {rng.choice(EMOJI)} What shall we look at today?",
            "Hi there. Ask me anything: a question, some code, a text to improve.",
            "Good to see you. Where should we begin?",
        )
    )


# --- other kinds


_DIMENSIONS = (
    ("To begin with", "quick to pick up", "takes a week to feel at home"),
    ("Day to day", "predictable", "flexible"),
    ("When it grows", "needs discipline", "needs planning"),
    ("Cost", "low, and stays low", "higher, falls with use"),
    ("When it fails", "obvious at once", "shows up later"),
    ("Community", "large and patient", "smaller, very active"),
    ("Exit", "easy to leave", "some work to move away"),
)


def _comparison(question: Question, known: Topic | None, style: Style, rng: random.Random) -> Iterator[str]:
    first, second = capitalised(question.subject), capitalised(question.other)
    rows = [[name, *rng.sample((a, b), k=2)] for name, a, b in rng.sample(_DIMENSIONS, k=5)]
    grid = table(known.table, known.rows) if known is not None else table(["", first, second], rows)
    verdict = f"If nothing else decides, take **{rng.choice((first, second))}** and look again in three months."
    if style in (Style.TABULAR, Style.TERSE):
        yield grid
        yield verdict
    elif style in (Style.STRUCTURED, Style.ACADEMIC):
        yield f"## {first} or {second}?"
        yield "Both solve the same problem from different ends, so the better question is which end hurts more here."
        yield grid
    else:
        yield f"{first} and {second} overlap more than their friends admit. The differences that matter are these:"
        yield grid
    if known is not None:
        yield from (f"**{point.title}.** {point.text} {point.detail}" for point in rng.sample(known.points, k=3))
    yield f"**Choose {first} when**"
    yield bullets(
        ("the work is well understood and should stay that way", "several people have to agree on how it is done")
    )
    yield f"**Choose {second} when**"
    yield bullets(("requirements will change before the year is out", "one person can own it from end to end"))
    if style not in (Style.TABULAR, Style.TERSE):
        yield verdict


def _numbered(question: Question, topic: Topic, style: Style, rng: random.Random, *, is_known: bool) -> Iterator[str]:
    wanted = question.count or (4 if style is Style.TERSE else 5)
    ordered = topic.points if question.kind is Kind.STEPS else rng.sample(topic.points, k=len(topic.points))
    points = [*ordered, *_further_points(topic, rng)]
    if style is not Style.TERSE:
        yield topic.definition
    if question.kind is Kind.STEPS:
        yield "\n".join(
            f"{number}. **{point.title}.** {point.text}\n   - {point.detail}"
            for number, point in enumerate(points[:wanted], 1)
        )
        if is_known:
            yield "What goes wrong most often:"
            yield bullets(topic.pitfalls)
            yield table(topic.table, topic.rows)
        else:
            yield "A list to tick off:"
            yield "\n".join(f"- [{'x' if done else ' '}] {text}" for done, text in CHECKLIST)
    else:
        yield numbered(
            f"**{point.title}**" + ("" if style is Style.TERSE else f": {point.text} {point.detail}")
            for point in points[:wanted]
        )


def _further_points(topic: Topic, rng: random.Random) -> list[Point]:
    titles = {point.title for point in topic.points}
    spare = topic_about(topic.name, rng).points
    sentences = observations(topic.name, rng)
    invented = [Point(f"One more thing ({n})", next(sentences), next(sentences)) for n in range(1, 11)]
    return [point for point in spare if point.title not in titles] + invented


def _translation(question: Question, style: Style, rng: random.Random) -> Iterator[str]:
    phrase = phrase_in(question.text)
    asked = [
        name for name in (phrase or {}) if re.search(rf"\b{name}\b", question.text, re.IGNORECASE) and name != "English"
    ]
    if phrase is None:
        proverb = rng.choice(proverbs())
        yield (
            f"A faithful translation of “{question.subject}” depends on who says it to whom, so take this as "
            "a starting point."
        )
        yield (
            f"In {proverb.language} there is a saying that comes close: **{proverb.text}** "
            f"({proverb.meaning.rstrip('.')})"
        )
        return
    if asked and (style is Style.TERSE or len(asked) == 1):
        yield "\n".join(f"**{phrase[name]}**" + ("" if style is Style.TERSE else f" ({name})") for name in asked)
        return
    names = asked or rng.sample(sorted(name for name in phrase if name != "English"), k=6)
    yield table(["Language", phrase["English"]], [[name, phrase[name]] for name in names])
    yield "The first form in each row is polite; among friends people say less."


def _creative(question: Question, topic: Topic, rng: random.Random) -> Iterator[str]:
    subject = question.subject
    lines = (
        f"Nobody warned me of {subject},",
        "how it would enter without a sound,",
        "put down its bag beside the table",
        "and look around, and look around.",
        "",
        "I had prepared a list of questions,",
        "a kettle, and the better chair.",
        f"It only smiled. The way with {subject}",
        "is finding out that it was there.",
    )
    if re.search(r"haiku", question.text, re.IGNORECASE):
        first, second, third = rng.choice(
            (
                ("Morning on the roof", f"{capitalised(subject)}, and one small bird", "neither in a hurry"),
                ("The last page is blank", f"someone wrote {subject} there", "and the ink is wet"),
            )
        )
        yield f"*{first}*  \n*{second}*  \n*{third}*"
        return
    if re.search(r"joke|limerick", question.text, re.IGNORECASE):
        yield (
            f"Why did {subject} never finish on time? Because every time it looked at the clock, it wanted a "
            "second opinion. 🥁"
        )
        return
    if re.search(r"story|tale", question.text, re.IGNORECASE):
        yield f"# The Keeper of {capitalised(subject)}"
        yield (
            f"In a town at the end of a railway line there lived a woman who knew everything about {subject} "
            "and told nobody."
        )
        yield (
            "People came with questions. She gave them tea, and they went home with answers that they "
            f"believed to be their own. {topic.analogy}"
        )
        yield (
            "One winter a boy asked her why she never wrote any of it down. “Because then,” she said, “you "
            "would have read it instead of finding it.”"
        )
        yield (
            "He thought about this all the way home. Then he turned round, because he had forgotten his hat, "
            "and found the house dark and the door open, and on the table a notebook with his name on it."
        )
        return
    yield f"### {capitalised(subject)}"
    yield "\n".join(f"{line}  " if line else "" for line in lines)
    yield proverb_block(rng.choice(proverbs()))


def _summary(question: Question, topic: Topic) -> Iterator[str]:
    """The longer sentences of the text itself, if there is a text."""
    _, _, material = question.text.partition("\n")
    sentences = [s.strip() for s in re.split(r"(?<=[.!?。])\s+", material) if len(s.strip()) > 15]
    if len(sentences) >= 2:
        chosen = sorted(sorted(range(len(sentences)), key=lambda i: -len(sentences[i]))[:4])
        yield "The text comes down to this:"
        yield bullets(sentences[i][:220] for i in chosen)
        yield f"In one line: it is about {question.subject}, and about what follows from it."
        return
    yield f"**{capitalised(topic.name)} in short.** {topic.definition}"
    yield bullets(point.text for point in topic.points[:4])


# --- more of it, and the end


def _more(subject: str, style: Style, rng: random.Random) -> Iterator[str]:
    """As long as anybody wants."""
    sentences = observations(subject, rng)
    sayings = rng.sample(proverbs(), k=len(proverbs()))
    titles = (
        "A closer look",
        "Seen from the other side",
        "Some experience",
        "Open questions",
        "In passing",
        "What follows",
    )
    for section in count(1):
        if style in (Style.STRUCTURED, Style.ACADEMIC):
            title = titles[(section - 1) % len(titles)]
            yield f"### {title}" + (f" ({section})" if section > len(titles) else "")
        yield " ".join(next(sentences) for _ in range(rng.randint(3, 4)))
        match section % 4:
            case 1:
                yield bullets(next(sentences) for _ in range(3))
            case 2:
                yield f"> {next(sentences)}"
            case 3:
                yield proverb_block(sayings.pop()) if sayings else next(sentences)
            case _:
                yield numbered(next(sentences) for _ in range(3))


def _closing(subject: str, style: Style, rng: random.Random) -> str:
    match style:
        case Style.STRUCTURED:
            return f"**In short:** start with the purpose, measure one thing, and take {subject} one piece at a time."
        case Style.WARM:
            return rng.choice(
                (
                    (
                        "Shall I go deeper into any part of this, or turn it into a plan for your own case? "
                        f"{rng.choice(EMOJI)}"
                    ),
                    "If you tell me a little about your situation, I can make this much more specific. 😊",
                )
            )
        case Style.ACADEMIC:
            return "The argument above is a sketch; each step deserves to be checked against your own case."
        case _:
            return ""

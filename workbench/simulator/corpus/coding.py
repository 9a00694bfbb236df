"""Answers to whoever asks for code: a task that is known, a topic that has some, or a program that is made up."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from workbench.simulator.corpus.generic import capitalised
from workbench.simulator.corpus.library import Topic, best_task
from workbench.simulator.corpus.markdown import bullets, code_of
from workbench.simulator.corpus.question import Question
from workbench.simulator.models import Style


def code_answer(question: Question, known: Topic | None, style: Style, rng: random.Random) -> Iterator[str]:
    if known is not None and known.code:
        yield known.definition
        yield code_of(known)
        yield "### Edge cases" if style is Style.STRUCTURED else "Three things to keep in mind:"
        yield bullets(known.pitfalls)
        yield from (f"**{point.title}.** {point.text}" for point in rng.sample(known.points, k=3))
        return
    task = best_task(question.text)
    if task is None:
        yield from _made_up_code(question, rng)
        return
    language = question.language if question.language in task.code else next(iter(task.code))
    code = f"```{language}\n{task.code[language].strip()}\n```"
    note = ""
    if question.language and question.language != language:
        note = f" (in {language}; the idea carries over to {question.language} line by line)"
    if style in (Style.TERSE, Style.TABULAR):
        yield code
        yield f"{capitalised(task.cost)}{note}."
    else:
        yield f"{task.idea}{note}"
        yield code
    yield "### Edge cases" if style is Style.STRUCTURED else "It takes care of:"
    yield bullets(task.edges)
    if style not in (Style.TERSE, Style.TABULAR):
        yield f"**Cost:** {task.cost}."
    others = [name for name in task.code if name != language]
    if others:
        other = rng.choice(others)
        yield f"For comparison, the same in {other.capitalize()}:"
        yield f"```{other}\n{task.code[other].strip()}\n```"


def _made_up_code(question: Question, rng: random.Random) -> Iterator[str]:
    words = re.findall(r"[a-z0-9]+", question.subject.lower())[:3] or ["answer"]
    name = "_".join(words)
    kind = "".join(word.capitalize() for word in words)
    yield (
        f"Here is a small, complete starting point for {question.subject}. It keeps the decision apart from the doing."
    )
    yield f'''```python
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class {kind}:
    """One result, with the reason beside it."""

    value: str
    score: float

    @property
    def is_good(self) -> bool:
        return self.score >= {rng.choice((0.5, 0.6, 0.75))}


def {name}(items: Iterable[str]) -> Iterator[{kind}]:
    """Best first. Empty items are skipped, not counted as bad."""
    scored = ({kind}(item, 1 / len(item)) for item in items if item.strip())
    yield from sorted(scored, key=lambda result: result.score, reverse=True)


if __name__ == "__main__":
    for result in {name}(["one", "three", "", "eleven"]):
        print(f"{{result.score:.2f}}  {{result.value}}{{'' if result.is_good else '  (weak)'}}")
```'''
    yield "A test says what it should do:"
    yield f"""```python
def test_{name}_puts_the_best_first() -> None:
    results = list({name}(["three", "one", ""]))

    assert [result.value for result in results] == ["one", "three"]
```"""
    yield "Replace the score with your own rule; nothing else has to change."

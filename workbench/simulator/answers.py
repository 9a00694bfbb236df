"""One answer, thought out before its first byte leaves: what is said, how it ends, and when each token is due.

A function of the seed, the model, the prompt and the sample's number, and of nothing else; so a test can ask twice and
compare, and a demonstration looks the same on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

from workbench.simulator import corpus
from workbench.simulator.faults import Fault, FaultKind
from workbench.simulator.models import Reasoning
from workbench.simulator.pacing import Pace
from workbench.simulator.prompt import Prompt
from workbench.simulator.schema_rules import schema_in_words
from workbench.simulator.schema_values import instance_of, json_text
from workbench.simulator.tokens import split_tokens

EFFORT_FACTORS = {"none": 0.0, "minimal": 0.2, "low": 0.5, "medium": 1.0, "high": 1.9, "xhigh": 3.0, "max": 4.0}


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    STOP_SEQUENCE = "stop sequence"
    TOOL = "tool"
    REFUSAL = "refusal"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Answer:
    reasoning: tuple[str, ...]
    """Tokens. Counted and waited for, whether or not the dialect shows them."""
    text: tuple[str, ...]
    """Tokens of the visible answer; for a refusal, what the model says instead."""
    finish: Finish
    tool_calls: tuple[ToolCall, ...] = ()
    stop_sequence: str | None = None
    tool_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        return len(self.reasoning) + len(self.text) + self.tool_tokens

    def bent_by(self, fault: Fault) -> Answer:
        """The answer as a fault would have it."""
        match fault.kind:
            case FaultKind.LENGTH:
                return replace(self, text=self.text[: fault.after], finish=Finish.LENGTH)
            case FaultKind.CONTENT_FILTER:
                return replace(self, text=self.text[: fault.after], finish=Finish.FILTER)
            case FaultKind.PROSE:
                return replace(self, text=("I ", "would ", "rather ", "say ", "it ", "in ", "my ", "own ", "words."))
            case FaultKind.SILENT:
                return replace(self, reasoning=(), text=(), tool_calls=(), tool_tokens=0, finish=Finish.STOP)
            case _:
                return self


def rng_for(*parts: object) -> random.Random:
    digest = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def compose(prompt: Prompt, rng: random.Random, *, scale: float = 1.0, reasoning_scale: float = 1.0) -> Answer:
    """What this model says to that prompt."""
    model = prompt.model
    reasoning = _reasoning(prompt, rng, reasoning_scale)
    limit = min(prompt.max_tokens or model.max_output_tokens, model.max_output_tokens)
    if len(reasoning) >= limit:
        return Answer(tuple(reasoning[:limit]), (), Finish.LENGTH)
    calls = _tool_calls(prompt, rng)
    if calls:
        cost = sum(len(split_tokens(call.arguments)) + 6 for call in calls)
        if len(reasoning) + cost > limit:
            return Answer(tuple(reasoning), (), Finish.LENGTH)
        return Answer(tuple(reasoning), (), Finish.TOOL, calls, tool_tokens=cost)
    text = _text(prompt, rng, scale)
    stop = _first_stop(text, prompt.stop)
    if stop is not None:
        text = text[: text.index(stop)]
    tokens = split_tokens(text)
    room = limit - len(reasoning)
    if len(tokens) > room:
        return Answer(tuple(reasoning), tuple(tokens[:room]), Finish.LENGTH)
    return Answer(tuple(reasoning), tuple(tokens), Finish.STOP_SEQUENCE if stop else Finish.STOP, stop_sequence=stop)


def declined(prompt: Prompt, rng: random.Random) -> Answer:
    """The model will not."""
    return Answer((), tuple(split_tokens(corpus.decline(prompt.question, rng))), Finish.REFUSAL)


def _text(prompt: Prompt, rng: random.Random, scale: float) -> str:
    schema = prompt.json_schema or schema_in_words(f"{prompt.system}\n{prompt.question}")
    if schema is not None:
        return json_text(instance_of(schema, rng, corpus.subject_of(prompt.question)))
    if prompt.json_object:
        return json_text(corpus.as_object(prompt.question, rng))
    target = int(prompt.model.answer_tokens * scale * rng.lognormvariate(0.0, prompt.model.answer_sigma))
    return corpus.write(
        prompt.question, prompt.model.style, max(8, target), rng, system=prompt.system, earlier=prompt.earlier_question
    )


def _reasoning(prompt: Prompt, rng: random.Random, scale: float) -> list[str]:
    model = prompt.model
    if model.reasoning is Reasoning.NONE:
        return []
    factor = EFFORT_FACTORS.get(prompt.effort or model.default_effort, 1.0)
    target = int(model.reasoning_tokens * factor * scale * rng.lognormvariate(0.0, 0.3))
    if prompt.thinking_tokens is not None:
        target = min(target, prompt.thinking_tokens)
    if target <= 0:
        return []
    return split_tokens(corpus.think(prompt.question, target, rng))[:target]


def _tool_calls(prompt: Prompt, rng: random.Random) -> tuple[ToolCall, ...]:
    """A call when it is asked for, or when the question names what a tool is about."""
    if not prompt.tools:
        return ()
    if prompt.force_tool:
        chosen = next((t for t in prompt.tools if t.name == prompt.force_tool), prompt.tools[0])
    else:
        words = set(corpus.words_of(prompt.question))
        named = [t for t in prompt.tools if words & set(corpus.words_of(f"{t.name.replace('_', ' ')} {t.description}"))]
        if not named:
            return ()
        chosen = named[0]
    value = instance_of(chosen.schema, rng, corpus.subject_of(prompt.question))
    return (ToolCall(chosen.name, json_text(value)),)


def _first_stop(text: str, stops: Sequence[str]) -> str | None:
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    return min(found)[1] if found else None


class Event(NamedTuple):
    """Some tokens that leave together."""

    at_s: float
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an answer's tokens are due, in simulated seconds since the request arrived."""

    open_s: float
    """Response headers."""
    reasoning: tuple[Event, ...]
    text: tuple[Event, ...]
    end_s: float


OPEN_SHARE = 0.85
"""How much of the time to first token has passed when headers arrive: the queue and most of the prompt's work."""


def schedule(answer: Answer, pace: Pace, per_event: int, rng: random.Random) -> Schedule:
    reasoning = group(answer.reasoning, per_event)
    text = group(answer.text, per_event)
    first_s = pace.first_token_s(rng)
    moments = list(pace.moments(first_s, (tokens for _, tokens in chain(reasoning, text)), rng))
    events = [Event(at, *part) for at, part in zip(moments, chain(reasoning, text), strict=True)]
    return Schedule(
        open_s=first_s * OPEN_SHARE,
        reasoning=tuple(events[: len(reasoning)]),
        text=tuple(events[len(reasoning) :]),
        end_s=(moments[-1] if moments else first_s) + pace.gap_s * answer.tool_tokens,
    )


def group(tokens: Sequence[str], per_event: int) -> list[tuple[str, int]]:
    """Tokens as events carry them: text and number of tokens."""
    if per_event <= 1:
        return [(token, 1) for token in tokens]
    return [
        ("".join(tokens[start : start + per_event]), min(per_event, len(tokens) - start))
        for start in range(0, len(tokens), per_event)
    ]

"""What a load test is to do: how much load, for how long, with which prompts, and what counts as good."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from workbench.core.types import Message, Params

_WORDS = """
    about after again always answer before begin better between bring build change clear close could every field
    find first follow found great ground group hand house keep large later learn leave letter light line little
    live long make many might mother move much name never night number often open order other paper part people
    place plant point press read right river round school should side small sound start state still story study
    table thing think three time tree turn under until water where which while white world write year young
    """
"""Common English words: one token each, with the space before them, in every tokenizer in use."""


@dataclass(frozen=True, slots=True)
class Load:
    """One level: so many requests at once, or so many a second whatever becomes of them."""

    concurrency: int | None = None
    rate_per_s: float | None = None

    def __str__(self) -> str:
        return f"{self.concurrency} at once" if self.concurrency is not None else f"{self.rate_per_s:g}/s"

    @property
    def size(self) -> float:
        """What a chart puts on its x axis."""
        return float(self.concurrency or 0) if self.concurrency is not None else self.rate_per_s or 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What an answer must keep to be good; a figure that is missing does not keep it. All unset: nothing was asked."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None

    def __bool__(self) -> bool:
        return (self.ttft_s, self.tpot_s, self.e2e_s) != (None, None, None)

    def __str__(self) -> str:
        limits = (("TTFT", self.ttft_s), ("TPOT", self.tpot_s), ("e2e", self.e2e_s))
        return ", ".join(f"{name} ≤ {limit:g} s" for name, limit in limits if limit is not None)

    def kept(self, *, ttft_s: float | None, tpot_s: float | None, e2e_s: float | None) -> bool:
        pairs = ((self.ttft_s, ttft_s), (self.tpot_s, tpot_s), (self.e2e_s, e2e_s))
        return all(limit is None or (value is not None and value <= limit) for limit, value in pairs)


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a level lasts: until so many requests have been sent, or so many seconds have passed."""

    requests: int | None = None
    seconds: float | None = None

    def requests_for(self, load: Load) -> int | None:
        """None when only time ends it. Four rounds of what is in flight, and fifty at least, where nothing is said."""
        if self.requests is not None or self.seconds is not None:
            return self.requests
        return max(50, 4 * load.concurrency) if load.concurrency is not None else 50


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request says."""

    messages: tuple[Message, ...]
    params: Params


def parse_numbers(text: str, name: str) -> tuple[float, ...]:
    """`1,8,32` in the order given. Raises BadParameter."""
    try:
        numbers = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or any(not 0 < number < 1e6 for number in numbers):
        raise click.BadParameter(f"{text!r}: expected positive numbers such as 1,8,32", param_hint=name)
    return numbers


def parse_goal(text: str) -> Goal:
    """`ttft=0.5,tpot=0.05,e2e=10`, in seconds. Raises BadParameter."""
    limits: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = 0.0
        if name.strip() not in ("ttft", "tpot", "e2e") or not limit > 0:
            raise click.BadParameter(
                f"{part!r}: expected ttft=, tpot= or e2e= with seconds, such as ttft=0.5,e2e=10", param_hint="--slo"
            )
        limits[f"{name.strip()}_s"] = limit
    return Goal(**limits)


def asks_of_lengths(input_tokens: int, params: Params, seed: int) -> Iterator[Ask]:
    """Prompts of about so many tokens, no two alike, so that no provider's prefix cache can answer for it; endless."""
    rng, known = random.Random(seed), _WORDS.split()
    for number in itertools.count(1):
        words = rng.choices(known, k=max(0, input_tokens - 4))
        yield Ask((Message.user(" ".join((str(number), "go on:", *words))),), params)


def asks_of_file(path: Path, template: str | None, system: str, params: Params) -> Iterator[Ask]:
    """The rows of a file, in order and from the beginning again; endless. Raises UsageError when none can be used."""
    from workbench.core.errors import UsageError
    from workbench.jobs.rows import Row, RowReader

    reader = RowReader(template=template, system=system or None, params=params)
    rows = [row for row in reader.read(path) if isinstance(row, Row)]
    if not rows:
        raise UsageError(f"{path} has no row that can be asked.")
    return itertools.cycle(Ask(row.messages, row.params) for row in rows)


def loads_of(concurrency: str | None, rate: str | None) -> Sequence[Load]:
    if rate is not None:
        return [Load(rate_per_s=number) for number in parse_numbers(rate, "--rate")]
    numbers = parse_numbers(concurrency or "1,8,32,64", "--concurrency")
    if any(number != int(number) for number in numbers):
        raise click.BadParameter("requests at once come in whole numbers", param_hint="--concurrency")
    return [Load(concurrency=int(number)) for number in numbers]

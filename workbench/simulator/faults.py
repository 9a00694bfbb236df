"""Scripted misbehaviour: what can go wrong, how a test asks for it, and which request gets it.

A fault is asked for in one of four ways, the first that applies wins: a request header (`x-sim-fault: stall;after=3`),
a suffix of the model's name (`gpt-4.1!stall;after=3`), a mark in the prompt (`[sim:stall;after=3]`), or a rule set
through the admin interface ("the next three requests to this model get 503", "one in fifty gets cut"). Which requests
a probability hits depends on the seed and on their order alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class FaultKind(StrEnum):
    # Instead of an answer
    RATE_REQUESTS = "rate-requests"
    RATE_TOKENS = "rate-tokens"
    RATE_INPUT = "rate-input"
    RATE_OUTPUT = "rate-output"
    RATE_CONCURRENCY = "rate-concurrency"
    RATE_DAY = "rate-day"
    RATE_LIMIT_ZERO = "limit-zero"
    REQUEST_OVER_LIMIT = "over-limit"
    SPENT = "spent"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    BLOCKED = "blocked"
    TOO_LARGE = "too-large"
    UNSUPPORTED = "unsupported"
    """`parameter` is refused as not supported."""
    CONTEXT_OVERFLOW = "context-overflow"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    SERVER_ERROR = "server-error"
    BAD_GATEWAY = "bad-gateway"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    GATEWAY_TIMEOUT = "gateway-timeout"
    POISON = "poison"
    """A 500 that comes every time for this prompt, body and all."""
    HTML = "html"
    """200, and a web page."""
    HTML_ERROR = "html-error"
    """502, and a web page."""
    LOST_ANSWER = "lost-answer"
    """What was asked for is done, and the client gets a 500 all the same. At files and batches only."""
    RESET = "reset"
    """The connection breaks before a single byte."""
    # In the stream
    SLOW_START = "slow-start"
    """`seconds` more before the headers."""
    SLOW_FIRST_TOKEN = "slow-first-token"
    """`seconds` more between the headers and the first output."""
    STALL = "stall"
    """Silence for `seconds` after `after` events of output; then it goes on."""
    ERROR_EVENT = "error-event"
    """An error inside the 200, after `after` events of output."""
    CUT = "cut"
    """A clean end of the body without any end mark; with `after=0` right behind the opening event."""
    NO_DONE = "no-done"
    """Everything but `[DONE]` or `message_stop`."""
    DROP = "drop"
    """The connection breaks in the middle of the body."""
    TRUNCATED_JSON = "truncated-json"
    """The body ends in the middle of an event."""
    GARBLED_JSON = "garbled-json"
    """One event is no JSON; the stream goes on."""
    EMPTY = "empty"
    """200 and no event at all."""
    COMMENTS = "comments"
    """An SSE comment before every event."""
    PINGS = "pings"
    """Signs of life every 50 ms or so until the first output, and between outputs."""
    BLANK_DATA = "blank-data"
    """`data:` with nothing behind it, which breaks readers that parse before they look."""
    CRLF = "crlf"
    CR = "cr"
    SPLIT = "split"
    """Writes of `size` bytes, through the middle of characters and line ends."""
    WHOLE = "whole"
    """The entire answer in one write at the end."""
    NO_FINAL_NEWLINE = "no-final-newline"
    EMPTY_CHOICES = "empty-choices"
    """Events without a choice between those with one."""
    MISSING_CHOICES = "missing-choices"
    USAGE_MISSING = "usage-missing"
    USAGE_ON_LAST = "usage-on-last"
    """On the event that ends the choice, instead of one of its own."""
    USAGE_ON_EVERY = "usage-on-every"
    USAGE_TWICE = "usage-twice"
    USAGE_NONSENSE = "usage-nonsense"
    # In the answer
    LENGTH = "length"
    """Ends at `after` tokens as if the limit had been reached."""
    REFUSAL = "refusal"
    CONTENT_FILTER = "content-filter"
    PROSE = "prose"
    """Plain words, whatever schema was asked for."""
    SILENT = "silent"
    """A complete answer of no tokens."""


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    after: int = 5
    """Events (or tokens) of output before it happens."""
    seconds: float = 3600.0
    """For stalls and slow starts; simulated seconds."""
    retry_after: float | None = None
    """Seconds that a refusal asks the client to wait; None: the kind's own habit."""
    hint: str = "native"
    """How it says so: native, seconds, ms, date, text, reset, none, absurd."""
    status: int | None = None
    """Another status than the provider's own."""
    parameter: str = "temperature"
    size: int = 7
    message: str = ""
    should_retry: bool | None = None

    def spec(self) -> str:
        """The text that `parse` reads back."""
        chosen = [
            f"{option.name}={getattr(self, option.name)}"
            for option in fields(self)
            if option.name != "kind" and getattr(self, option.name) != option.default
        ]
        return ";".join([self.kind, *chosen])


_OPTIONS = frozenset(field.name for field in fields(Fault)) - {"kind"}


class BadFault(ValueError):
    """A fault that does not exist was asked for; says which ones do."""


def parse(spec: str) -> tuple[Fault, ...]:
    """`kind;option=value;…`, several of them separated by commas."""
    return tuple(_parse_one(part.strip()) for part in spec.split(",") if part.strip())


def _parse_one(spec: str) -> Fault:
    name, *options = (part.strip() for part in spec.split(";"))
    if name not in set(FaultKind):
        raise BadFault(f"no fault is called {name!r}; there are: {', '.join(FaultKind)}")
    chosen = {"kind": name}
    for option in options:
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals or key not in _OPTIONS:
            raise BadFault(f"{option!r} is no option of a fault; there are: {', '.join(sorted(_OPTIONS))}")
        chosen[key] = value
    try:
        return msgspec.convert(chosen, Fault, strict=False)
    except msgspec.ValidationError as exc:
        raise BadFault(f"{spec!r}: {exc}") from None


SUFFIX = "!"
_MARK = re.compile(r"\[sim:([^\]]+)\]")


def split_model(name: str) -> tuple[str, str]:
    """The model's name and the fault spec behind it, which may be empty."""
    model, _, spec = name.partition(SUFFIX)
    return model, spec


def marks_in(prompt: str) -> str:
    """The fault specs written into a prompt, joined."""
    return ",".join(_MARK.findall(prompt))


ANSWER = "answer"
"""The operation of everything that asks a model; files and batches have others, see `batch_serving`."""


@dataclass(slots=True)
class FaultRule:
    """Gives faults to requests that match: the next `count` of them, or each with a probability."""

    faults: tuple[Fault, ...]
    provider: str = "*"
    model: str = "*"
    key: str = "*"
    """Globs all three."""
    count: int | None = None
    """How many requests are still to get it; None: no end."""
    probability: float = 1.0
    skip: int = 0
    """Matching requests to let through first."""
    operation: str = ANSWER
    """A glob, too."""

    def matches(self, provider: str, model: str, key: str, operation: str = ANSWER) -> bool:
        mine = (self.provider, self.model, self.key, self.operation)
        return all(map(fnmatchcase, (provider, model, key, operation), mine))


@dataclass(slots=True)
class FaultBook:
    """All rules in force. Rules are asked in order; the first that strikes wins."""

    seed: int
    rules: list[FaultRule] = field(default_factory=list)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"faults {self.seed}")

    def set_rules(self, rules: Iterable[FaultRule]) -> None:
        self.rules = list(rules)

    def strike(self, provider: str, model: str, key: str, operation: str = ANSWER) -> tuple[Fault, ...]:
        for rule in self.rules:
            if rule.count == 0 or not rule.matches(provider, model, key, operation):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.probability < 1.0 and self._rng.random() >= rule.probability:
                continue
            if rule.count is not None:
                rule.count -= 1
            return rule.faults
        return ()

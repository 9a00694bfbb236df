"""Where the time of one answer went: waiting for its turn, retries, the connection, the model, silence in between.

Read from the stamps alone, so a live answer, a recorded one and a benchmark's say the same. The parts add up to the
whole time from submission to the last token; a slow screen is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from workbench.core.clock import NS_PER_S
from workbench.core.types import STAMPS, Timing
from workbench.session import figures

WORTH_SHOWING_S = 0.005
"""Less would read as `0.00s`."""
BAR_CELLS = 16
_WIDE = 72
"""Columns below which a bar is half as long."""

_SPANS = ("retry_wait", "stamp_error", "ttft_error", "stalled")


class Part(StrEnum):
    """In the order in which they happen; the value is the word that people see."""

    QUEUE = "queue"
    """Until it was let go, an SDK's import included."""
    RETRIES = "retries"
    """Failed attempts and their back-offs."""
    CONNECT = "connect"
    """From then until there was a connection: building the request, name look-up, TLS."""
    SENDING = "sending"
    """Until the whole request was written: next to nothing but for long prompts, or a server that does not read."""
    PREFILL = "prefill"
    """Until the first token: the way there and back, the provider's queue, reading the prompt."""
    THOUGHT = "thought"
    ANSWER = "answer"
    STALLED = "stalled"
    """Pauses of a second or more between two pieces, taken out of the parts in which they fell."""

    @property
    def sign(self) -> str:
        """One cell of a bar; told apart without colour."""
        return _SIGNS[self]

    @property
    def letter(self) -> str:
        """One cell where a terminal has only ASCII."""
        return self.value[0]


_SIGNS = {
    Part.QUEUE: "·",
    Part.RETRIES: "×",
    Part.CONNECT: "╌",
    Part.SENDING: "┄",
    Part.PREFILL: "░",
    Part.THOUGHT: "▒",
    Part.ANSWER: "█",
    Part.STALLED: "_",
}

_TROUBLE = frozenset({Part.RETRIES, Part.STALLED})
_TROUBLE_SHARE = 0.02
"""Of the whole time: a refusal that came back at once has cost nothing."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Parts in order with their seconds; those that took no time worth showing are left out."""

    parts: tuple[tuple[Part, float], ...]

    @property
    def total_s(self) -> float:
        return sum(seconds for _, seconds in self.parts)

    def bar(self, cells: int, *, ascii_only: bool = False) -> str:
        """`cells` cells shared out by time; a part that is worth showing keeps one if there is any room for it."""
        counts = _shares([seconds for _, seconds in self.parts], cells)
        signs = [part.letter if ascii_only else part.sign for part, _ in self.parts]
        return "".join(sign * count for sign, count in zip(signs, counts, strict=True))

    def line(self, width: int = 120, *, ascii_only: bool = False) -> str:
        """The bar and its parts in words, as many as fit; what went wrong stays longest, then what took longest."""
        shown = list(self.parts)
        cells = BAR_CELLS if width >= _WIDE else BAR_CELLS // 2
        worth_s = self.total_s * _TROUBLE_SHARE
        while shown:
            words = ", ".join(f"{part} {figures.seconds(span)}" for part, span in shown)
            line = f"{self.bar(cells, ascii_only=ascii_only)} {words}"
            if len(line) <= width:
                return line
            shown.remove(min(shown, key=lambda one: (one[0] in _TROUBLE and one[1] >= worth_s, one[1])))
        return ""


def anatomy_of(timing: Timing) -> Anatomy | None:
    """None for an answer that never went to a provider, such as one out of the cache."""
    if timing.admitted_ns is None:
        return None
    end_ns = timing.last_token_ns or timing.done_ns or timing.sent_ns or timing.admitted_ns
    if timing.sent_ns is None and timing.dialled_ns is None:
        end_ns = timing.admitted_ns  # Nobody tells how far it came before it failed.
    sent_ns, connected_ns = _way_out(timing, end_ns)
    first_ns = timing.first_token_ns if timing.first_token_ns is not None else end_ns
    # An answer that only thought, or broke off while it did, has no first answer.
    answer_ns = timing.first_answer_ns if timing.first_answer_ns is not None else end_ns
    spans = {
        Part.QUEUE: timing.admitted_ns - timing.submitted_ns - timing.retry_wait_ns,
        Part.RETRIES: timing.retry_wait_ns,
        Part.CONNECT: connected_ns - timing.admitted_ns,
        Part.SENDING: sent_ns - connected_ns,
        Part.PREFILL: first_ns - sent_ns,
        Part.THOUGHT: answer_ns - first_ns,
        Part.ANSWER: end_ns - answer_ns,
    }
    stalled_ns = timing.stalled_ns
    for part in (Part.ANSWER, Part.THOUGHT):
        taken = min(stalled_ns, max(0, spans[part]))
        spans[part] -= taken
        stalled_ns -= taken
    spans[Part.STALLED] = timing.stalled_ns - stalled_ns
    parts = ((part, span / NS_PER_S) for part, span in spans.items())
    return Anatomy(tuple((part, seconds) for part, seconds in parts if seconds >= WORTH_SHOWING_S))


def _way_out(timing: Timing, end_ns: int) -> tuple[int, int]:
    """When the request was written, and before that when it had a connection; the end where it never came so far."""
    if timing.sent_ns is not None:
        return timing.sent_ns, timing.sent_ns if timing.connected_ns is None else timing.connected_ns
    return end_ns, end_ns if timing.connected_ns is None else timing.connected_ns


def recorded_timing(stamps: Mapping[str, int]) -> Timing:
    """The timing of a recorded answer, whose stamps are nanoseconds since its submission."""
    known = {f"{name}_ns": stamps[name] for name in STAMPS if name in stamps}
    return Timing(submitted_ns=0, **known, **{f"{name}_ns": stamps.get(name, 0) for name in _SPANS})


def _shares(amounts: Sequence[float], cells: int) -> list[int]:
    """Whole numbers that add up to `cells`, by largest remainder, at least one each where there are enough."""
    total = sum(amounts)
    if not amounts or total <= 0 or cells <= 0:
        return [0] * len(amounts)
    least = 1 if len(amounts) <= cells else 0
    free = cells - least * len(amounts)
    exact = [amount / total * free for amount in amounts]
    counts = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda index: counts[index] - exact[index])
    for index in by_rest[: free - sum(counts)]:
        counts[index] += 1
    return [count + least for count in counts]

"""The numbers of one answer, live and final, by the definitions that the interface's help gives.

While an answer streams, tokens are an estimate and say so; the provider's usage replaces it. All stamps come with the
events, from where bytes arrive: a slow screen cannot change a figure. `Meter.observe` is O(1) and never allocates more
than one bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from workbench.core.clock import NS_PER_S
from workbench.core.events import CacheHit, Delta, Failed, Finished, Opened, StreamEvent, UsageReport
from workbench.core.types import CHARACTERS_PER_TOKEN, Channel, Result, Usage, UsageSource

BUCKET_S = 0.25
"""Width of one sample of the rate. Headers repaint at 4 Hz: finer could not be seen."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a pane's border shows. None = not known, which is never the same as zero."""

    ttft_s: float | None = None
    """To the first token of any kind, from the moment the request was written."""
    ttfa_s: float | None = None
    """To the first token of the answer: differs from TTFT only where the model thinks first."""
    rate_tps: float | None = None
    """Tokens per second after the first token: 1 / TPOT."""
    output_tokens: int = 0
    tokens_estimated: bool = True
    reasoning_s: float | None = None
    """How long it thought before it answered, or has been thinking."""
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    saved_usd: float | None = None
    """What a cache hit did not cost."""
    similarity: float | None = None
    """Of the question that a cached answer was given to; None for the very same request."""
    elapsed_s: float = 0.0
    """Since the request was submitted: waiting and retries included."""
    ttft_error_s: float = 0.0
    """By how much too long TTFT may read, since the event loop looked at its sockets that much earlier."""


class TokenHabits:
    """How many tokens one event of a model carries, learned from answers whose usage is known."""

    def __init__(self) -> None:
        self._per_event: dict[str, float] = {}

    def per_event(self, model: str) -> float | None:
        return self._per_event.get(model)

    def learn(self, model: str, tokens: int, events: int) -> None:
        """Fold in one finished answer. Short ones say too little: a dozen events at least."""
        if events < 12 or tokens <= 0:
            return
        measured = tokens / events
        known = self._per_event.get(model)
        self._per_event[model] = measured if known is None else 0.7 * known + 0.3 * measured


class Meter:
    """Watches one request's events and can say at any moment what its numbers are."""

    def __init__(self, submitted_ns: int, tokens_per_event: float | None = None) -> None:
        self.submitted_ns = submitted_ns
        self.events = 0
        self._per_event = tokens_per_event
        self._estimate = 0.0
        self._sent_ns: int | None = None
        self._first_ns: int | None = None
        self._answer_ns: int | None = None
        self._last_ns: int | None = None
        self._done_ns: int | None = None
        self._reasoned = False
        self._cached = False
        self._usage: Usage | None = None
        self._result: Result | None = None
        self._buckets: list[float] = []

    def observe(self, event: StreamEvent) -> None:
        match event:
            case Opened(sent_ns=sent_ns):
                self._sent_ns = sent_ns
            case CacheHit():
                self._cached = True
            case Delta(at_ns=at_ns, channel=channel, text=text):
                self._count(at_ns, channel, text)
            case UsageReport(usage=usage):
                self._usage = usage
            case Finished(at_ns=at_ns, result=result) | Failed(at_ns=at_ns, partial=result):
                self._done_ns = at_ns
                self._result = result
                self._usage = result.usage or self._usage
            case _:
                pass

    def stop(self, at_ns: int) -> None:
        """The request ended without a terminal event: it was stopped here."""
        self._done_ns = at_ns

    def _count(self, at_ns: int, channel: Channel, text: str) -> None:
        tokens = self._per_event if self._per_event is not None else max(1.0, len(text) / CHARACTERS_PER_TOKEN)
        if self._first_ns is None:
            self._first_ns = at_ns
        if channel is Channel.REASONING:
            self._reasoned = True
        elif self._answer_ns is None:
            self._answer_ns = at_ns
        self._last_ns = at_ns
        self.events += 1
        self._estimate += tokens
        bucket = int((at_ns - self._first_ns) / NS_PER_S / BUCKET_S)
        if bucket >= len(self._buckets):
            self._buckets.extend([0.0] * (bucket + 1 - len(self._buckets)))
        self._buckets[bucket] += tokens

    @property
    def reasoning_span_ns(self) -> tuple[int, int | None] | None:
        """When the reasoning began and, once it is over, ended; None as long as there is none."""
        if not self._reasoned or self._first_ns is None:
            return None
        return self._first_ns, self._answer_ns if self._answer_ns is not None else self._done_ns

    def since_last_token_s(self, now_ns: int) -> float | None:
        """None before the first token."""
        return None if self._last_ns is None else (now_ns - self._last_ns) / NS_PER_S

    @property
    def output_tokens(self) -> int | None:
        """What the provider counted; None until, or unless, it says."""
        usage = self._usage
        return None if usage is None or usage.source is UsageSource.ESTIMATED else usage.output

    def numbers(self, now_ns: int) -> Numbers:
        timing = self._result.timing if self._result is not None else None
        counted = self.output_tokens
        # A provider that reports usage as it goes may report less than has been shown since.
        tokens = counted if counted is not None and self._done_ns is not None else round(self._estimate)
        end_ns = self._done_ns if self._done_ns is not None else now_ns
        measured = not self._cached
        return Numbers(
            ttft_s=self._ttft_s(timing.ttft_s if timing else None, self._first_ns) if measured else None,
            ttfa_s=self._ttft_s(timing.ttfa_s if timing else None, self._answer_ns) if measured else None,
            rate_tps=self._rate(tokens) if measured else None,
            output_tokens=tokens,
            tokens_estimated=counted is None or self._done_ns is None,
            reasoning_s=self._reasoning_s(end_ns),
            reasoning_tokens=self._usage.reasoning if self._usage is not None and self._usage.reasoning else None,
            cost_usd=self._result.cost_usd if self._result is not None else None,
            saved_usd=self._result.saved_usd if self._result is not None else None,
            similarity=self._result.similarity if self._result is not None else None,
            elapsed_s=max(0, end_ns - self.submitted_ns) / NS_PER_S,
            ttft_error_s=timing.ttft_error_ns / NS_PER_S if timing is not None and measured else 0.0,
        )

    def _ttft_s(self, final: float | None, stamp_ns: int | None) -> float | None:
        if final is not None:
            return final
        if stamp_ns is None or self._sent_ns is None:
            return None
        return (stamp_ns - self._sent_ns) / NS_PER_S

    def _rate(self, tokens: int) -> float | None:
        if self._first_ns is None or self._last_ns is None or tokens < 2 or self._last_ns <= self._first_ns:
            return None
        return (tokens - 1) / ((self._last_ns - self._first_ns) / NS_PER_S)

    def _reasoning_s(self, end_ns: int) -> float | None:
        if (span := self.reasoning_span_ns) is None:
            return None
        began_ns, ended_ns = span
        return ((end_ns if ended_ns is None else ended_ns) - began_ns) / NS_PER_S

    def rate_series(self, width: int, now_ns: int) -> tuple[float, ...]:
        """Tokens per second in at most `width` samples: the latest while it runs, the whole answer once it is over.

        A pause shows as zeros up to now, so that a stalled stream looks stalled. The bucket under way is left out: it
        would always look like a drop.
        """
        if self._first_ns is None or width <= 0:
            return ()
        if self._done_ns is None:
            complete = int((now_ns - self._first_ns) / NS_PER_S / BUCKET_S)
            samples = [*self._buckets[:complete], *([0.0] * (complete - len(self._buckets)))][-width:]
        else:
            samples = _shrink(self._buckets, width)
        return tuple(tokens / BUCKET_S for tokens in samples)


def _shrink(samples: Sequence[float], width: int) -> list[float]:
    """Means of `width` equal stretches, or the samples themselves if there are no more than that."""
    count = len(samples)
    if count <= width:
        return list(samples)
    edges = [round(index * count / width) for index in range(width + 1)]
    return [sum(samples[a:b]) / (b - a) for a, b in pairwise(edges)]

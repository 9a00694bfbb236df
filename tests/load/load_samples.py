"""Samples made by hand: requests that were due, began to answer and ended at given moments."""

from __future__ import annotations

from workbench.bench.load_drive import Level, Sample
from workbench.bench.load_plan import Goal, Load
from workbench.bench.load_summary import LevelSummary, summarize
from workbench.core.clock import NS_PER_S
from workbench.core.types import FinishReason, Priority, Route, Timing, Usage
from workbench.engine.admission import Outcome
from workbench.engine.records import AttemptRecord, Population, RequestRecord

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "http://x")


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def sample(
    due_s: float,
    *,
    ttft_s: float = 0.5,
    tokens: int = 11,
    tpot_s: float = 0.1,
    late_s: float = 0.0,
    population: Population = Population.ANSWERED,
    usage: bool = True,
    number: int = 0,
    connect_s: float | None = None,
) -> Sample:
    sent = ns(due_s + late_s)
    first, last = sent + ns(ttft_s), sent + ns(ttft_s + tpot_s * (tokens - 1))
    timing = Timing(
        submitted_ns=sent,
        admitted_ns=sent,
        sent_ns=sent,
        headers_ns=sent,
        first_event_ns=first,
        first_token_ns=first,
        first_answer_ns=first,
        last_token_ns=last,
        done_ns=last,
        ttft_error_ns=1_000_000,
    )
    admitted = sent - ns(connect_s or 0.0)
    attempt = AttemptRecord(
        number=1,
        route=ROUTE,
        key_alias=None,
        enqueued_ns=admitted,
        admitted_ns=admitted,
        sent_ns=sent,
        headers_ns=sent,
        first_event_ns=first,
        first_token_ns=first,
        first_answer_ns=first,
        last_token_ns=last,
        ended_ns=last,
        outcome=Outcome.SUCCESS,
        fresh=connect_s is not None,
    )
    record = RequestRecord(
        number=number,
        model="gpt-5.4",
        route=ROUTE,
        key_alias=None,
        population=population,
        finish_reason=FinishReason.STOP,
        error="",
        priority=Priority.BULK,
        job="",
        timing=timing,
        usage=Usage(input=10, output=tokens) if usage else None,
        cost_usd=0.01,
        saved_usd=None,
        waits=(),
        attempts=(attempt,),
        chunks=tokens,
        characters=4 * tokens,
        longest_gap_ns=ns(tpot_s),
    )
    return Sample(record, ns(due_s))


def summary(
    concurrency: int, *, rate: float = 10.0, failed: int = 0, goal: Goal | None = None, warm_up: int | None = 0
) -> LevelSummary:
    """A level of a hundred requests, answered at `rate` a second."""
    level = Level("gpt-5.4", Load(concurrency=concurrency))
    for n in range(100):
        population = Population.FAILED if n < failed else Population.ANSWERED
        level.samples.append(sample(n / rate, population=population, number=n))
    return summarize(level, goal or Goal(), warm_up)

"""Server profiles: what kind of day the providers are having. Named by `--profile`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from workbench.simulator.batch_book import BatchPace
from workbench.simulator.faults import Fault, FaultKind, FaultRule
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.pacing import Bursts, Pace
from workbench.simulator.quota import QuotaSpec, Reserve, ServerModel


@dataclass(frozen=True, slots=True)
class QuotaRule:
    """The first rule whose globs match a provider and a model gives that pair's quota."""

    provider: str
    model: str
    spec: QuotaSpec


BATCH_PACE = BatchPace()


@dataclass(frozen=True, slots=True)
class ServerProfile:
    name: str
    title: str
    quotas: tuple[QuotaRule, ...]
    paces: tuple[tuple[str, Pace], ...] = ()
    """Model name and pace; `*` for all others. Empty: each model's own."""
    tokens_per_event: int | None = None
    """None: each model's own."""
    faults: tuple[FaultRule, ...] = ()
    varies_repeats: bool = False
    """The same question asked again gets another answer, as with a temperature above 0."""
    local_slots: int = 4
    """How many requests a local server works on at once; the others wait, as long as it takes."""
    answer_scale: float = 1.0
    reasoning_scale: float = 1.0
    batches: BatchPace = BATCH_PACE
    connect_s: float = 0.0
    """How long the server leaves every new connection waiting: with TLS, before the handshake."""
    beat_s: float = 0.0
    """What is due waits for the next beat, on which all answers say at once what they have to say; 0 for none."""
    requests_per_connection: int | None = None
    """After so many the connection is closed; None: as the server's options say."""

    def pace_of(self, model: ModelProfile) -> Pace:
        return next((pace for name, pace in self.paces if name in (model.name, "*")), model.pace)


_PER_SECOND = QuotaSpec(rpm=3_000, tpm=2_000_000, model=ServerModel.QUANTISED, reserve=Reserve.PROMPT)


def _usual_quotas(scale: float = 1.0) -> tuple[QuotaRule, ...]:
    """What a paying account of the middle tier has, give or take."""
    return tuple(
        QuotaRule(provider, "*", spec.scaled(scale))
        for provider, spec in (
            (Provider.OPENAI, QuotaSpec(rpm=5_000, tpm=2_000_000)),
            (Provider.ANTHROPIC, QuotaSpec(rpm=4_000, itpm=2_000_000, otpm=400_000)),
            (Provider.GEMINI, QuotaSpec(rpm=1_000, itpm=4_000_000, rpd=50_000, headers=False)),
            (Provider.TOGETHER, _PER_SECOND),
            (Provider.SAMBANOVA, QuotaSpec(rpm=240, rpd=48_000, tpd=20_000_000)),
            (Provider.OPENROUTER, QuotaSpec(rpm=2_000)),
            (Provider.LITELLM, QuotaSpec(rpm=1_000, tpm=500_000)),
        )
    )  # fmt: skip


_ROOMY = tuple(
    QuotaRule(provider, "*", spec)
    for provider, spec in (
        (Provider.OPENAI, QuotaSpec(rpm=10_000_000, tpm=10_000_000_000)),
        (Provider.ANTHROPIC, QuotaSpec(rpm=10_000_000, itpm=10_000_000_000, otpm=10_000_000_000)),
        (Provider.TOGETHER, QuotaSpec(rpm=10_000_000, tpm=10_000_000_000)),
        (Provider.SAMBANOVA, QuotaSpec(rpm=10_000_000, rpd=10_000_000_000)),
    )
)

DEMO = ServerProfile(
    name="demo",
    title="believable latencies and limits; gpt-4o-mini is nearly out of quota, gpt-4.1-nano declines",
    quotas=(
        QuotaRule(Provider.OPENAI, "gpt-4o-mini", QuotaSpec(rpm=6, tpm=30_000)),
        *_usual_quotas(),
    ),
    faults=(FaultRule((Fault(FaultKind.REFUSAL),), provider=Provider.OPENAI, model="gpt-4.1-nano"),),
    varies_repeats=True,
)

FAST = ServerProfile(
    name="fast",
    title="no latency and no limits that anybody would meet; for tests and benchmarks",
    quotas=_ROOMY,
    paces=(("*", Pace(0.0, 0.0, 0.0, 0.0)),),
    tokens_per_event=1,
    local_slots=100_000,
    batches=BatchPace(validate_s=0.0, rows_per_s=math.inf, finalize_s=0.0, cancel_s=0.0, brief=True),
)

STEADY = ServerProfile(
    name="steady",
    title="exactly 200 ms to the first token and 10 ms per token, one token per event",
    quotas=_ROOMY,
    paces=(("*", Pace(0.2, 0.0, 0.01, 0.0)),),
    tokens_per_event=1,
    local_slots=100_000,
)

SATURATED = ServerProfile(
    name="saturated",
    title="tight limits everywhere, so that waiting can be watched",
    quotas=(
        QuotaRule(Provider.OPENAI, "*", QuotaSpec(rpm=20, tpm=20_000)),
        QuotaRule(Provider.ANTHROPIC, "*", QuotaSpec(rpm=15, itpm=15_000, otpm=8_000)),
        QuotaRule(Provider.GEMINI, "*", QuotaSpec(rpm=10, rpd=200, headers=False)),
        QuotaRule(Provider.TOGETHER, "*", QuotaSpec(rpm=60, model=ServerModel.QUANTISED)),
        QuotaRule(Provider.SAMBANOVA, "*", QuotaSpec(rpm=10, rpd=300)),
        QuotaRule(Provider.OPENROUTER, "*", QuotaSpec(rpm=20)),
        QuotaRule(Provider.LITELLM, "*", QuotaSpec(rpm=20, tpm=12_000)),
    ),
    varies_repeats=True,
    local_slots=1,
)

CHAOS = ServerProfile(
    name="chaos",
    title="about one request in three meets something that happens on bad days",
    quotas=_usual_quotas(),
    faults=tuple(
        FaultRule((Fault(kind, **options),), probability=probability)
        for kind, probability, options in (
            (FaultKind.RATE_REQUESTS, 0.05, {"retry_after": 2.0}),
            (FaultKind.OVERLOADED, 0.04, {}),
            (FaultKind.SERVER_ERROR, 0.04, {}),
            (FaultKind.UNAVAILABLE, 0.02, {}),
            (FaultKind.ERROR_EVENT, 0.03, {"after": 0}),
            (FaultKind.ERROR_EVENT, 0.02, {"after": 40}),
            (FaultKind.CUT, 0.02, {"after": 30}),
            (FaultKind.DROP, 0.02, {"after": 25}),
            (FaultKind.TRUNCATED_JSON, 0.01, {"after": 12}),
            (FaultKind.STALL, 0.03, {"after": 10, "seconds": 6.0}),
            (FaultKind.SLOW_FIRST_TOKEN, 0.03, {"seconds": 5.0}),
            (FaultKind.EMPTY, 0.01, {}),
            (FaultKind.HTML, 0.01, {}),
            (FaultKind.SPLIT, 0.02, {}),
            (FaultKind.USAGE_MISSING, 0.02, {}),
            (FaultKind.RESET, 0.01, {}),
        )
    ),
    varies_repeats=True,
)

_SLOW_DAYS = (
    ServerProfile(
        name="rate-limit",
        title="gpt-4.1-mini takes four requests a minute",
        quotas=(QuotaRule(Provider.OPENAI, "gpt-4.1-mini", QuotaSpec(rpm=4)), *_usual_quotas()),
        varies_repeats=True,
    ),
    ServerProfile(
        name="in-flight-cap",
        title="gpt-4.1-mini takes one request at a time, and refuses others",
        quotas=(QuotaRule(Provider.OPENAI, "gpt-4.1-mini", QuotaSpec(rpm=5_000, max_in_flight=1)), *_usual_quotas()),
        varies_repeats=True,
    ),
    ServerProfile(
        name="slow-model",
        title="every model thinks for four seconds, and then writes five tokens a second",
        quotas=_usual_quotas(),
        paces=(("*", Pace(4.0, 0.05, 0.2, 0.1)),),
        varies_repeats=True,
    ),
    ServerProfile(
        name="slow-connection",
        title="every request needs a connection of its own, and that takes a second and a half; use it with TLS",
        quotas=_usual_quotas(),
        varies_repeats=True,
        connect_s=1.5,
        requests_per_connection=1,
    ),
    ServerProfile(
        name="stalled-stream",
        title="every answer falls silent for twenty seconds after a few words",
        quotas=_usual_quotas(),
        faults=(FaultRule((Fault(FaultKind.STALL, after=12, seconds=20.0),)),),
        varies_repeats=True,
    ),
    ServerProfile(
        name="cold-start",
        title="the first request to gpt-4.1 and to the local qwen3-8b waits eight seconds for the model to be loaded",
        quotas=_usual_quotas(),
        faults=tuple(
            FaultRule((Fault(FaultKind.SLOW_START, seconds=8.0),), model=model, count=1)
            for model in ("gpt-4.1", "qwen3-8b")
        ),
        varies_repeats=True,
    ),
    ServerProfile(
        name="retries",
        title="gpt-4.1-mini fails twice before it answers",
        quotas=_usual_quotas(),
        faults=(FaultRule((Fault(FaultKind.SERVER_ERROR),), model="gpt-4.1-mini", count=2),),
        varies_repeats=True,
    ),
    ServerProfile(
        name="busy-screen",
        title="very long answers in ever larger bursts, all at one moment, more than a screen can follow",
        quotas=_usual_quotas(),
        paces=(("*", Bursts(0.2, 0.0, 0.5, 0.0, first=800, growth=1.2, most=1_600)),),
        tokens_per_event=1,
        answer_scale=200.0,
        local_slots=16,
        beat_s=0.5,
        varies_repeats=True,
    ),
)
"""One for each thing that makes answers slow, so that every one of them can be seen and told from the others."""

PROFILES: Mapping[str, ServerProfile] = MappingProxyType(
    {profile.name: profile for profile in (DEMO, FAST, STEADY, SATURATED, CHAOS, *_SLOW_DAYS)}
)

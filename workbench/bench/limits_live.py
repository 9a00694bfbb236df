"""The comparison over HTTP: the whole engine on one side, the simulator in a process of its own on the other.

Real time, so it is short: the account starts without a saved minute, which is what a long run would have left of it.
Only the limit that a regime is about is set; answers take 0.2 s and 10 ms per token. A share above 1 is credit: saved
while the client backed off, spent within the few seconds that are measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from workbench.bench.limits_live_peer import PeerAdmission
from workbench.bench.limits_policies import Windowed
from workbench.bench.limits_run import IN_FLIGHT, PACED, POLICIES, RPM, TPM, Openness, Regime, Row
from workbench.bench.report import percentile
from workbench.core.errors import WorkbenchError
from workbench.core.settings import CacheSettings, LimitSettings, Settings
from workbench.core.types import CacheMode, Message, Params, Priority, Request, Result
from workbench.engine.engine import Engine
from workbench.engine.keyring import Keyring
from workbench.simulator.process import SimulatorProcess, simulator_process
from workbench.simulator.quota import QuotaSpec

if TYPE_CHECKING:
    import httpx

MODEL: Final = "gpt-4.1-nano"
WORKERS: Final = 320
"""More than the largest window that is compared."""
PROMPT: Final = "Say something about the weather on the coast in autumn, and do not repeat yourself. " * 8
OUTPUT_TOKENS: Final = {Regime.TPM: 120, Regime.RPM: 30, Regime.IN_FLIGHT: 500}
SPARE: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds of one figure."""

    warm_up_s: float
    measured_s: float


SHORT: Final = Spans(6.0, 12.0)
"""Enough where headers tell the limits. Where they do not, they are learnt within minutes, as in virtual time."""


@dataclass(frozen=True, slots=True)
class _Answer:
    at_s: float
    tokens: int
    latency_s: float
    service_s: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of one figure's measured part."""

    answers: Sequence[_Answer]
    attempts: int
    refused: int
    lost: int
    """Requests that came to nothing, the warm-up's included."""


async def run_live(
    regimes: Sequence[Regime],
    openness: Sequence[Openness],
    keys: Sequence[int],
    tell: Callable[[Row], None],
    *,
    seed: int,
    spans: Spans = SHORT,
) -> None:
    """Calls `tell` with each row as soon as it is known: whoever breaks off has those."""
    async with simulator_process(profile="steady", seed=seed) as simulator:
        for regime in regimes:
            for says in openness:
                for count in keys:
                    for policy in POLICIES:
                        click.echo(f"{policy}, {regime}, {says}, {count} key(s) …", err=True)
                        tell(await _measure(simulator, policy, regime, says, count, seed, spans))


async def _measure(
    simulator: SimulatorProcess, policy: str, regime: Regime, says: Openness, keys: int, seed: int, spans: Spans
) -> Row:
    import httpx

    secrets = [f"sim-key-{n + 1}" for n in range(keys)]
    with TemporaryDirectory() as directory:
        environ = {
            "OPENAI_BASE_URL": simulator.base_urls["openai"],
            "OPENAI_KEYS": ",".join(secrets),
            **{f"LLM_{place}_DIR": str(Path(directory, place)) for place in ("CONFIG", "CACHE", "STATE", "DATA")},
        }
        settings = Settings(cache=CacheSettings(enabled=False), limits=LimitSettings(max_concurrent=512))
        async with httpx.AsyncClient(base_url=simulator.url) as admin:
            await admin.post("/_sim/reset")
            engine = Engine(settings, environ=environ, admission=_peer(policy, secrets, seed))
            async with engine:
                await _empty_account(admin, engine, _spec(regime, says), keys)
                seen = await _watch(admin, engine, regime, spans)
    latencies_s = [answer.latency_s for answer in seen.answers]
    return Row(
        policy=policy,
        regime=regime,
        headers=says,
        keys=keys,
        share=_share(seen.answers, spans.measured_s, regime, keys),
        refused=seen.refused / seen.attempts if seen.attempts else 0.0,
        p50_s=percentile(latencies_s, 0.5),
        p95_s=percentile(latencies_s, 0.95),
        lost=seen.lost,
    )


async def _watch(admin: httpx.AsyncClient, engine: Engine, regime: Regime, spans: Spans) -> _Seen:
    """Keep the engine busy, each worker asking again as soon as it has its answer, and look at the measured part."""
    until_s = time.monotonic() + spans.warm_up_s + spans.measured_s
    answers: list[_Answer] = []
    lost = 0

    async def work(worker: int) -> None:
        nonlocal lost
        number = 0
        while time.monotonic() < until_s:
            number += 1
            try:
                result = await engine.complete(_request(regime, f"{worker}.{number}"), stream=False)
            except WorkbenchError:
                lost += 1
            else:
                answers.append(_answer(result))

    tasks = [asyncio.create_task(work(worker)) for worker in range(WORKERS)]
    try:
        await asyncio.sleep(spans.warm_up_s)
        before = await _counts(admin)
        await asyncio.sleep(spans.measured_s)
        after = await _counts(admin)
        ended_s = time.monotonic()
    finally:
        # Broken off as well: to an engine that is closed they would go on asking, without end or pause.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    measured = [answer for answer in answers if ended_s - spans.measured_s <= answer.at_s <= ended_s]
    return _Seen(measured, attempts=after[0] - before[0], refused=after[1] - before[1], lost=lost)


def _peer(name: str, secrets: Sequence[str], seed: int) -> PeerAdmission | None:
    """None leaves the engine its own limiter."""
    if name == PACED.name:
        return None
    from workbench.providers.catalog import BUILT_IN

    row = next(row for row in BUILT_IN if row.name == "openai")
    keys = Keyring.from_sources(row, {}, list(secrets)).keys
    policy = POLICIES[name].make(range(len(keys)), seed)
    assert isinstance(policy, Windowed), "every peer is a window with a way to wait"
    return PeerAdmission(policy, keys)


def _spec(regime: Regime, says: Openness) -> QuotaSpec:
    spoken = says is not Openness.NONE
    spec = QuotaSpec(rpm=SPARE, tpm=SPARE, headers=says is Openness.ON, retry_after=spoken, classify=spoken)
    match regime:
        case Regime.TPM:
            return replace(spec, tpm=TPM)
        case Regime.RPM:
            return replace(spec, rpm=RPM)
        case Regime.IN_FLIGHT:
            return replace(spec, max_in_flight=IN_FLIGHT)


async def _empty_account(admin: httpx.AsyncClient, engine: Engine, spec: QuotaSpec, keys: int) -> None:
    """A bucket never holds more than its limit: make it tiny, let every key be used once, and raise it again."""
    await _set_quota(admin, replace(spec, rpm=60, tpm=1_000))
    for number in range(keys):
        await engine.complete(_request(Regime.RPM, f"key {number}"), stream=False)
    await _set_quota(admin, spec)


async def _set_quota(admin: httpx.AsyncClient, spec: QuotaSpec) -> None:
    # There, `model` is the model that the limits are for, and how the server counts goes by another name.
    limits = {"server_model" if name == "model" else name: value for name, value in asdict(spec).items()}
    body = {"provider": "openai", **{name: value for name, value in limits.items() if value is not None}}
    (await admin.post("/_sim/quota", json=body)).raise_for_status()


async def _counts(admin: httpx.AsyncClient) -> tuple[int, int]:
    """Requests so far, and those refused."""
    total: dict[str, Any] = (await admin.get("/_sim/counters")).json()["total"]
    return sum(total["by_status"].values()), total["by_status"].get("429", 0)


def _request(regime: Regime, number: str) -> Request:
    return Request(
        MODEL,
        (Message.user(f"{number}: {PROMPT if regime is Regime.TPM else 'Say something.'}"),),
        Params(max_tokens=OUTPUT_TOKENS[regime]),
        cache=CacheMode.OFF,
        priority=Priority.BULK,
    )


def _answer(result: Result) -> _Answer:
    timing = result.timing
    queued_s = timing.queue_s or 0.0
    return _Answer(
        at_s=time.monotonic(),
        tokens=result.usage.total if result.usage is not None else 0,
        latency_s=(timing.e2e_s or 0.0) - queued_s,
        service_s=timing.service_s or 0.0,
    )


def _share(answers: Sequence[_Answer], span_s: float, regime: Regime, keys: int) -> float:
    match regime:
        case Regime.TPM:
            return sum(answer.tokens for answer in answers) * 60 / span_s / (TPM * keys)
        case Regime.RPM:
            return len(answers) * 60 / span_s / (RPM * keys)
        case Regime.IN_FLIGHT:
            return sum(answer.service_s for answer in answers) / span_s / (IN_FLIGHT * keys)

"""One cell of the comparison: a policy, a regime, a number of keys, and how much the provider says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_policies import PEERS, Peer
from workbench.bench.limits_world import Workload, World
from workbench.bench.report import percentile
from workbench.simulator.quota import Quota, QuotaSpec

RPM: Final = 600
TPM: Final = 100_000
IN_FLIGHT: Final = 48
WARM_UP_S: Final = 300.0
"""Left out of the figures: the saved minute is spent, unknown limits are found."""

PACED: Final = Peer("paced", "**paced lanes (workbench)**", lambda keys, seed: Paced(keys, seed=seed))
POLICIES: Final = {policy.name: policy for policy in (*PEERS, PACED)}


class Regime(StrEnum):
    """Which limit binds."""

    TPM = "tpm"
    RPM = "rpm"
    IN_FLIGHT = "inflight"


class Openness(StrEnum):
    """What a provider says about its limits."""

    ON = "on"
    """Headers on every answer, the reason and the time on refusals."""
    HIDDEN = "hidden"
    """No headers; refusals name the limit and say how long to wait."""
    NONE = "none"
    """Nothing but 429."""


WORKLOADS: Final = {
    Regime.TPM: Workload("370 tokens in 1.5 s", 250, 120, 400, 1.5),
    Regime.RPM: Workload("80 tokens in 1.5 s", 40, 40, 80, 1.5),
    Regime.IN_FLIGHT: Workload("80 tokens in 8 s", 40, 40, 80, 8.0),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `--json`. Shares are fractions; `share` is of the limit that binds, over all keys."""

    policy: str
    regime: Regime
    headers: Openness
    keys: int
    share: float
    refused: float
    p50_s: float
    p95_s: float
    lost: int

    @property
    def figures(self) -> tuple[float, ...]:
        return self.share, self.refused, self.p50_s, self.p95_s, self.lost

    def said(self, headers: Openness) -> Row:
        """The same figures for a provider that says something else, to a client that does not listen."""
        return replace(self, headers=headers)

    def as_dict(self) -> dict[str, str | int | float]:
        return {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(self).items()}


def spec_for(openness: Openness) -> QuotaSpec:
    return QuotaSpec(
        rpm=RPM,
        tpm=TPM,
        max_in_flight=IN_FLIGHT,
        headers=openness is Openness.ON,
        retry_after=openness is not Openness.NONE,
        classify=openness is not Openness.NONE,
    )


def run_cell(policy: str, regime: Regime, openness: Openness, keys: int, *, seed: int, measured_s: float) -> Row:
    quotas = [Quota(spec_for(openness)) for _ in range(keys)]
    until_s = WARM_UP_S + measured_s
    world = World(
        quotas, WORKLOADS[regime], [POLICIES[policy].make(range(keys), seed)], seed=seed, until_s=until_s
    ).run()
    latencies = [done.latency_s for done in world.done if done.at_s >= WARM_UP_S]
    return Row(
        policy=policy,
        regime=regime,
        headers=openness,
        keys=keys,
        share=_share(world, regime, keys, until_s),
        refused=world.refused_share(WARM_UP_S, until_s),
        p50_s=percentile(latencies, 0.5),
        p95_s=percentile(latencies, 0.95),
        lost=world.lost,
    )


def _share(world: World, regime: Regime, keys: int, until_s: float) -> float:
    match regime:
        case Regime.TPM:
            return world.tokens_per_minute(WARM_UP_S, until_s) / (TPM * keys)
        case Regime.RPM:
            return world.requests_per_minute(WARM_UP_S, until_s) / (RPM * keys)
        case Regime.IN_FLIGHT:
            return world.mean_in_flight(WARM_UP_S, until_s) / (IN_FLIGHT * keys)

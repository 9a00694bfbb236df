"""What requests wait for, from snapshots: the most of them speak, the earliest of those is next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from workbench.core.clock import NS_PER_S
from workbench.core.errors import RateLimited
from workbench.core.events import Admitted, Queued, Retrying, WaitReason
from workbench.core.sending import Sending
from workbench.core.types import Priority, Route
from workbench.engine.breaker import CircuitState, CircuitStats
from workbench.engine.limiter_stats import LimiterStats, QueueStats
from workbench.engine.metrics import MetricsHub
from workbench.engine.records import Traffic
from workbench.session.waiting import Waiting, wait_facts, waiting, way_out

QUIET = MetricsHub().statistics(0)


@dataclass
class Snapshot:
    queues: tuple[QueueStats, ...] = ()
    traffic: Traffic = QUIET
    circuits: tuple[CircuitStats, ...] = ()
    limits: LimiterStats | None = field(init=False)

    def __post_init__(self) -> None:
        self.limits = LimiterStats(0, (), (), self.queues, ())


def queue(count: int, reason: WaitReason | None, until_s: float | None = None, *, parked: int = 0) -> QueueStats:
    until_ns = None if until_s is None else round(until_s * NS_PER_S)
    return QueueStats("openai", "gpt", {Priority.BULK: count}, parked, reason, until_ns)


def test_nothing_waits_while_every_queue_is_empty() -> None:
    assert waiting(Snapshot((queue(0, None),))) is None


def test_without_a_limiter_only_what_the_engine_knows_itself_is_said() -> None:
    seen = Snapshot(traffic=replace(QUIET, backing_off=2))
    seen.limits = None

    assert waiting(seen) == Waiting(2, WaitReason.BACKOFF)


def test_the_reason_is_that_of_most_and_the_deadline_the_first_of_those() -> None:
    seen = Snapshot(
        (
            queue(2, WaitReason.REQUESTS, 20),
            queue(3, WaitReason.WINDOW, 1),
            queue(1, WaitReason.REQUESTS, 12, parked=1),
        )
    )

    assert waiting(seen) == Waiting(7, WaitReason.REQUESTS, 12 * NS_PER_S)


def test_a_provider_that_fails_is_waited_for_until_its_next_probe() -> None:
    open_circuit = CircuitStats("openai", "https://x.invalid", CircuitState.OPEN, 5, 9 * NS_PER_S, "server error", ())
    seen = Snapshot(traffic=replace(QUIET, waiting=((WaitReason.BREAKER, 4),)), circuits=(open_circuit,))

    assert waiting(seen) == Waiting(4, WaitReason.BREAKER, 9 * NS_PER_S)


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        (Waiting(3, WaitReason.REQUESTS, 12 * NS_PER_S), "3 waiting: requests per minute, next in 12 s"),
        (Waiting(1_200, WaitReason.TOKENS, 90 * NS_PER_S), "1,200 waiting: tokens per minute, next in 90 s"),
        (Waiting(3, WaitReason.REQUESTS, NS_PER_S // 2), "3 waiting: requests per minute"),
        (Waiting(3, WaitReason.WINDOW), "3 waiting: in-flight limit"),
    ],
)
def test_words_count_down_only_where_there_is_something_to_count(waits: Waiting, words: str) -> None:
    assert waits.words(0) == words


def test_a_deadline_that_has_passed_is_now() -> None:
    assert Waiting(1, WaitReason.REQUESTS, NS_PER_S).left_s(5 * NS_PER_S) == 0


def test_one_request_says_what_is_known_of_its_wait() -> None:
    queued = Queued(0, WaitReason.REQUESTS, 12 * NS_PER_S, ahead=3, detail="lane\x1b[2J")
    retrying = Retrying(0, 1, RateLimited("Too many.", provider="openai"), 4 * NS_PER_S)

    assert wait_facts(queued, 0) == ("requests per minute", ["goes in 12 s", "3 ahead", "lane"])
    assert wait_facts(Queued(0, WaitReason.WINDOW), 0) == ("in-flight limit", [])
    assert wait_facts(retrying, 0)[1] == ["again in 4 s", "attempt 2"]


def let_go(base_url: str, **stamps: int) -> Admitted:
    sending = Sending()
    for name, at_ns in stamps.items():
        setattr(sending, f"{name}_ns", at_ns)
    route = Route("acme/one", "acme", "one", base_url)
    return Admitted(0, route, None, 1, sending)


@pytest.mark.parametrize(
    ("admitted", "words"),
    [
        (None, ""),
        (Admitted(0, Route("acme/one", "acme", "one", "https://acme.test/v1"), None, 1), ""),
        (let_go("https://acme.test/v1"), ""),
        (let_go("https://acme.test/v1", dialled=4 * NS_PER_S), "connecting to acme.test"),
        (let_go("http://me:secret@127.0.0.1:8080/v1", dialled=1 * NS_PER_S), "connecting to 127.0.0.1:8080 for 3 s"),
        (
            let_go("https://acme.test", dialled=1, connected=2 * NS_PER_S),
            "sending the request to acme.test for 2 s",
        ),
        (let_go("https://acme.test", dialled=1, connected=2, sent=3), ""),
    ],
    ids=["queued", "unwatched", "untold", "connecting", "connecting for a while", "writing", "written"],
)
def test_one_request_says_how_far_it_is_on_its_way_out(admitted: Admitted | None, words: str) -> None:
    assert way_out(admitted, 4 * NS_PER_S) == words

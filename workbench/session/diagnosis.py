"""Why is this slow right now? One cause and one sentence, for a lane of the limiter and for everything together.

Pure: snapshots in, words out. What holds requests back before they are sent is judged first, since nothing that happens
later matters to them; then what goes wrong on the wire; then what merely takes long; then ourselves. Every figure in a
sentence is one that the screen shows as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workbench.core.clock import NS_PER_S
from workbench.core.events import WaitReason
from workbench.core.sending import Stage
from workbench.core.stats import NOTHING, Percentiles
from workbench.engine.breaker import CircuitState, CircuitStats
from workbench.engine.lane_values import OVERLOADED, SPACED_OUT, TOO_MANY_CALLS
from workbench.engine.limiter_stats import LaneState, LaneStats, QueueStats
from workbench.engine.records import LaneTraffic
from workbench.providers.transport_errors import host_of
from workbench.session import figures
from workbench.session.limit_words import pace_words, window_words
from workbench.session.waiting import way_out_words

SLOW_TTFT_S: Final = 3.0
"""To the first token: longer than a person waits without wondering."""

SLOW_TPOT_S: Final = 0.1
"""Per token: ten a second is about as fast as people read."""

SLOW_CONNECT_S: Final = 0.3
"""Three round trips around the globe; a connection that is nearer takes less."""

SLOW_CONNECT_ONCE_S: Final = 1.0
"""The very first one is opened while SDKs are still being imported."""

COLD_S: Final = 2.0
"""Before the first answer of all: an SDK is imported in half that."""

LATE_S: Final = 0.05
"""The loop looked away for so long: a quick model's TTFT is then off by a tenth and more. A large terminal that is
drawn beside other work comes to 0.04, and nothing is slow for that."""

VERY_LATE_S: Final = 0.5
"""More than any lane can be blamed for: everything else on the screen is then in doubt."""

FEW: Final = 3
"""With fewer first tokens than this nobody can tell a slow model from one that had to be loaded."""

MANY_RETRIES: Final = 0.2
"""Share of attempts in the last minute that were repetitions."""


class Cause(StrEnum):
    """In two or three words, as a table has room for."""

    IDLE = "idle"
    NOTHING = "nothing wrong"
    NO_KEY = "no key"
    HELD = "stopped by hand"
    BREAKER = "provider failing"
    RATE_LIMIT = "rate limit"
    IN_FLIGHT_CAP = "in-flight cap"
    PRIORITY = "gives way"
    SPEND_CAP = "spend cap"
    STALL = "stalled stream"
    RETRIES = "retries"
    COLD_START = "cold start"
    SLOW_CONNECTION = "slow connection"
    SLOW_MODEL = "slow model"
    OWN_SCREEN = "our own screen"

    @property
    def is_trouble(self) -> bool:
        return self not in (Cause.IDLE, Cause.NOTHING)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    cause: Cause
    sentence: str
    affected: int = 0
    """Requests that it concerns at this moment: the lane with most of them speaks for all."""

    @property
    def concerns(self) -> bool:
        """Whether any request is later for it. Who waits for a provider that fails is in no lane's queue."""
        return self.affected > 0 or self.cause is Cause.BREAKER


@dataclass(frozen=True, slots=True)
class LaneView:
    """Everything that is known about one lane of the limiter, from several snapshots of one moment."""

    lane: LaneStats
    now_ns: int
    traffic: LaneTraffic | None = None
    """None until it has carried something."""
    queue: QueueStats | None = None
    """Who waits for this lane, or for another one like it."""
    circuit: CircuitStats | None = None
    setup_s: Percentiles = NOTHING
    """What its models took before they first asked to be sent."""

    @property
    def is_busy(self) -> bool:
        """What took long a minute ago is no answer to why it is slow now."""
        return self.lane.in_flight > 0 or self.waiting > 0

    @property
    def waiting(self) -> int:
        return 0 if self.queue is None else sum(self.queue.waiting.values()) + self.queue.parked

    def in_s(self, at_ns: int | None) -> str:
        """`, the next goes in 6 s`; empty when that is not known or already past."""
        if at_ns is None or at_ns <= self.now_ns:
            return ""
        return f", the next goes in {figures.countdown((at_ns - self.now_ns) / NS_PER_S)}"


def lane_diagnosis(view: LaneView) -> Diagnosis:
    """The one cause that binds this lane."""
    for judge in (*_HELD_BACK, *(ON_THE_WIRE if view.is_busy else ())):
        if (found := judge(view)) is not None:
            return found
    if view.lane.in_flight:
        return Diagnosis(Cause.NOTHING, "nothing holds it up", view.lane.in_flight)
    return Diagnosis(Cause.IDLE, "nothing is being asked")


def diagnosis(
    lanes: Iterable[tuple[LaneStats, Diagnosis]],
    *,
    late_s: Percentiles,
    capped: int = 0,
    busy: bool,
    unfinished: int = 0,
) -> Diagnosis:
    """What is to be said about everything: the lane that holds up most requests, or our own lateness.

    Args:
        late_s: how long the loop went without looking at its sockets.
        capped: how many wait for money, which is asked for before a lane is chosen.
        busy: whether anything is queued or in flight.
        unfinished: requests that have not ended, those included that ask for nothing yet.
    """
    late = lateness(late_s) if busy else None
    if late is not None and _often_s(late_s) >= VERY_LATE_S:
        return late
    if capped:
        return Diagnosis(Cause.SPEND_CAP, f"{_requests(capped)} for the spend cap: the palette raises it", capped)
    troubled = [(lane, found) for lane, found in lanes if found.cause.is_trouble and (found.concerns or not busy)]
    if not troubled:
        if late is not None:
            return late
        if busy:
            return Diagnosis(Cause.NOTHING, "nothing holds it up")
        if unfinished:
            return Diagnosis(Cause.NOTHING, "being got ready, or answered from the cache")
        return Diagnosis(Cause.IDLE, "nothing is asked")
    lane, worst = max(troubled, key=lambda pair: pair[1].affected)
    others = sum(found.cause is worst.cause for _, found in troubled) - 1
    also = f" (and {others} more like it)" if others else ""
    return Diagnosis(worst.cause, f"{lane.name}: {worst.sentence}{also}", worst.affected)


def lateness(late_s: Percentiles) -> Diagnosis | None:
    """Whether this program is itself what holds things up; None while it keeps up."""
    often_s = _often_s(late_s)
    if often_s < LATE_S:
        return None
    which = "p95" if late_s.p95 is not None else f"p50 of {late_s.n}"
    return Diagnosis(
        Cause.OWN_SCREEN,
        f"this program was busy for {_ms(often_s)} at a time ({which}), drawing or held up by others:"
        f" every time here may be so late",
    )


def _often_s(late_s: Percentiles) -> float:
    """How late the loop is again and again. Once proves nothing: an import, a screen that opens."""
    return (late_s.p95 if late_s.p95 is not None else late_s.p50) or 0.0


# What keeps requests from being sent


def _no_key(view: LaneView) -> Diagnosis | None:
    if view.lane.state is not LaneState.DEAD:
        return None
    return Diagnosis(Cause.NO_KEY, "no usable key is left: paste another one", view.waiting)


def _held(view: LaneView) -> Diagnosis | None:
    if view.lane.state is not LaneState.HELD:
        return None
    return Diagnosis(Cause.HELD, f"stopped by hand{_and_wait(view)}; p lets it go on", view.waiting)


def _circuit(view: LaneView) -> Diagnosis | None:
    circuit = view.circuit
    if circuit is None or circuit.state is CircuitState.CLOSED:
        return None
    failed = f"{circuit.consecutive_failures} failures in a row ({circuit.last_error})"
    if circuit.probe_at_ns is not None and circuit.probe_at_ns > view.now_ns:
        rest = f"one request tries again in {figures.countdown((circuit.probe_at_ns - view.now_ns) / NS_PER_S)}"
    else:
        rest = "one request is trying now"
    return Diagnosis(Cause.BREAKER, f"{failed}: {rest}", view.waiting)


def _cooling(view: LaneView) -> Diagnosis | None:
    lane = view.lane
    if lane.paused_until_ns is None or lane.paused_until_ns <= view.now_ns:
        return None
    if lane.why == SPACED_OUT:
        if not view.waiting:
            return None
        tried = f"{lane.in_flight} in flight, and whether the provider takes more is tried one call at a time"
        return Diagnosis(Cause.IN_FLIGHT_CAP, f"{_requests(view.waiting)}: {tried}", view.waiting)
    left = figures.countdown((lane.paused_until_ns - view.now_ns) / NS_PER_S)
    said = f"refused ({lane.why}): nothing is sent for {left}{_and_wait(view)}"
    if not view.waiting:
        # Whatever is asked goes another way, or has gone already: nobody's answer is late for this.
        return None if view.is_busy else Diagnosis(Cause.NOTHING, f"{said}, and nothing waits for it")
    return Diagnosis(_REFUSED.get(lane.why, Cause.RATE_LIMIT), said, view.waiting)


_REFUSED: Final = {TOO_MANY_CALLS: Cause.IN_FLIGHT_CAP, OVERLOADED: Cause.BREAKER}
"""By why a lane pauses after a refusal; for a rate where it is none of these."""


def _queued(view: LaneView) -> Diagnosis | None:
    queue = view.queue
    if queue is None or queue.reason is None or not view.waiting:
        return None
    who = _requests(view.waiting)
    match queue.reason:
        case WaitReason.WINDOW | WaitReason.GLOBAL_CAP:
            return Diagnosis(Cause.IN_FLIGHT_CAP, f"{who}: {window_words(view.lane, queue.reason)}", view.waiting)
        case WaitReason.REQUESTS | WaitReason.TOKENS | WaitReason.COOLING | WaitReason.PAUSED:
            said = f"{who}{view.in_s(queue.until_ns)}: {pace_words(view.lane, queue.reason)}"
            return Diagnosis(Cause.RATE_LIMIT, said, view.waiting)
        case WaitReason.PRIORITY:
            return Diagnosis(Cause.PRIORITY, f"{who}: what a person asks goes first", view.waiting)
        case _:
            return None


# What goes wrong on the wire, or takes long


def _stalled(view: LaneView) -> Diagnosis | None:
    if view.traffic is None or not view.traffic.underway.stalled:
        return None
    underway = view.traffic.underway
    silent = figures.countdown(underway.longest_silence_s or 0.0)
    one = underway.streaming == 1
    who = "an answer has" if one else f"{underway.stalled} of {underway.streaming} answers have"
    return Diagnosis(Cause.STALL, f"{who} been silent in mid-sentence for {silent}", underway.stalled)


def _retries(view: LaneView) -> Diagnosis | None:
    traffic = view.traffic
    if traffic is None or traffic.retries_window < 2:
        return None
    attempts = traffic.retries_window + traffic.ttft_s.n
    if traffic.retries_window < MANY_RETRIES * attempts:
        return None
    why = f" ({view.lane.error_title})" if view.lane.error_title else ""
    said = f"{traffic.retries_window} of {attempts} attempts in the last minute failed and were repeated{why}"
    return Diagnosis(Cause.RETRIES, said, max(1, traffic.in_flight))


def _way_out(view: LaneView) -> Diagnosis | None:
    """What has not been sent yet, though nothing here holds it back: no model can be blamed for that."""
    traffic = view.traffic
    if traffic is None:
        return None
    underway, usual_s = traffic.underway, traffic.connect_s.p50 or 0.0
    for stage, count, longest_s, why in (
        (Stage.CONNECTING, underway.connecting, underway.longest_connect_s, "there is no connection yet"),
        (Stage.WRITING, underway.writing, underway.longest_write_s, "the last of it has not been taken yet"),
    ):
        # One among many is worth saying when it takes longer than a person waits without wondering.
        least_s = SLOW_CONNECT_ONCE_S if count * 2 >= traffic.in_flight else SLOW_TTFT_S
        # As long as it usually takes here is said with figures.
        if longest_s is not None and longest_s >= max(least_s, 2 * usual_s):
            said = way_out_words(stage, host_of(view.lane.base_url), longest_s, count)
            return Diagnosis(Cause.SLOW_CONNECTION, f"{said}: {why}", count)
    return None


def _cold(view: LaneView) -> Diagnosis | None:
    traffic = view.traffic
    ttft = traffic.ttft_s if traffic is not None else NOTHING
    # What a request waits for now, before what it has waited for.
    longest_s = traffic.underway.longest_wait_s if traffic is not None else None
    if traffic is not None and not ttft.n and not traffic.answered and longest_s is not None and longest_s >= COLD_S:
        waited = f"the first request has waited {figures.countdown(longest_s)}"
        # Before the headers of its answer nothing tells a model from a server that has gone silent.
        silent = ", or the server does not answer" if traffic.underway.unheard else ""
        said = f"{waited}: a model that must be loaded takes so long{silent}"
        return Diagnosis(Cause.COLD_START, said, traffic.underway.unanswered)
    if ttft.n < FEW and view.setup_s.max is not None and view.setup_s.max >= COLD_S:
        said = f"the first request waited {figures.seconds(view.setup_s.max)} for its SDK to be imported"
        return Diagnosis(Cause.COLD_START, said, 1)
    if traffic is None:
        return None
    if not ttft.n or ttft.max is None or ttft.max < COLD_S or ttft.p50 is None:
        return None
    if ttft.n == 1:
        said = (
            f"the only first token so far took {figures.seconds(ttft.max)}: a model that must be loaded takes so long"
        )
        return Diagnosis(Cause.COLD_START, said, 1)
    if ttft.n <= 2 * FEW and ttft.p50 < ttft.max / 3:
        said = f"the first token took {figures.seconds(ttft.max)} once; later requests find the model loaded"
        return Diagnosis(Cause.COLD_START, said, 1)
    return None


def _connection(view: LaneView) -> Diagnosis | None:
    traffic = view.traffic
    if traffic is None or traffic.connect_s.p50 is None or traffic.connect_s.p50 < SLOW_CONNECT_S:
        return None
    connect = traffic.connect_s
    assert connect.p50 is not None
    if connect.n * 2 < traffic.ttft_s.n:
        return None  # Most go over connections that are open already.
    if connect.n < FEW and connect.p50 < SLOW_CONNECT_ONCE_S:
        return None
    if traffic.ttft_s.p50 is not None and traffic.ttft_s.p50 > max(SLOW_TTFT_S, connect.p50):
        return None
    said = f"opening a connection takes {figures.seconds(connect.p50)} (p50 of {connect.n}); it is not the model"
    return Diagnosis(Cause.SLOW_CONNECTION, said, max(1, traffic.in_flight))


def _slow_model(view: LaneView) -> Diagnosis | None:
    traffic = view.traffic
    if traffic is None:
        return None
    affected = max(1, traffic.in_flight)
    ttft, tpot, underway = traffic.ttft_s, traffic.tpot_s, traffic.underway
    if ttft.p50 is not None and ttft.p50 >= SLOW_TTFT_S:
        said = f"its first token takes {figures.seconds(ttft.p50)} (p50 of {ttft.n}), though nothing holds it back here"
        return Diagnosis(Cause.SLOW_MODEL, said, affected)
    if underway.longest_wait_s is not None and underway.longest_wait_s >= SLOW_TTFT_S:
        waited = figures.countdown(underway.longest_wait_s)
        return Diagnosis(Cause.SLOW_MODEL, f"a request has waited {waited} for its first token", affected)
    if tpot.p50 is not None and tpot.p50 >= SLOW_TPOT_S:
        return Diagnosis(
            Cause.SLOW_MODEL, f"it writes {1 / tpot.p50:.1f} tokens a second (p50 of {tpot.n} answers)", affected
        )
    return None


_Judge = Callable[[LaneView], Diagnosis | None]

_HELD_BACK: tuple[_Judge, ...] = (_no_key, _held, _circuit, _stalled, _cooling, _queued)
"""Asked in this order. A stalled stream comes before the queue behind it, which it may well be the cause of."""

ON_THE_WIRE: tuple[_Judge, ...] = (_way_out, _retries, _cold, _connection, _slow_model)


def _requests(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count:,} requests wait"


def _and_wait(view: LaneView) -> str:
    return f", {_requests(view.waiting)}" if view.waiting else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"

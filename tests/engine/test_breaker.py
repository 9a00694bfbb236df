"""The circuit breaker in virtual time: what opens it, who may probe, what closes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    KeyRejected,
    OutOfFiles,
    Overloaded,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    WorkbenchError,
)
from workbench.engine.breaker import BreakerBoard, Circuit, CircuitState, Passage, Refusal, breaker_open

DOWN = ServerError("boom", status=500)


def closed_circuit() -> Circuit:
    return BreakerBoard().circuit("openai", "http://one")


def passage(circuit: Circuit, now_s: float) -> Passage:
    leave = circuit.enter(round(now_s * NS_PER_S))
    assert isinstance(leave, Passage)
    return leave


def fail(circuit: Circuit, times: int, now_s: float = 0.0) -> None:
    for _ in range(times):
        passage(circuit, now_s).failed(round(now_s * NS_PER_S), DOWN)


def state(circuit: Circuit) -> CircuitState:
    return circuit.statistics().state


def test_five_failures_in_a_row_open_it() -> None:
    circuit = closed_circuit()

    fail(circuit, 4)
    assert state(circuit) is CircuitState.CLOSED
    fail(circuit, 1)

    assert state(circuit) is CircuitState.OPEN
    assert circuit.enter(NS_PER_S) == Refusal(30 * NS_PER_S, "boom")


def test_a_success_between_failures_starts_the_count_again() -> None:
    circuit = closed_circuit()

    for _ in range(20):
        fail(circuit, 4)
        passage(circuit, 0).succeeded(0)

    assert state(circuit) is CircuitState.CLOSED


@pytest.mark.parametrize(
    "error",
    [
        KeyRejected("no", status=401),
        BadRequest("no", status=400),
        RateLimited("slow", status=429),
        TimedOut("late", kind=TimeoutKind.TOTAL),
        OutOfFiles("none"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_are_not_about_health_never_count(error: WorkbenchError) -> None:
    circuit = closed_circuit()
    fail(circuit, 4)

    for _ in range(50):
        passage(circuit, 0).failed(0, error)
    assert state(circuit) is CircuitState.CLOSED
    fail(circuit, 1)

    assert state(circuit) is CircuitState.OPEN


@pytest.mark.parametrize(
    "error",
    [Overloaded("busy"), ConnectionFailed("refused"), TimedOut("late", kind=TimeoutKind.CONNECT)],
    ids=lambda error: type(error).__name__,
)
def test_every_sign_of_ill_health_counts(error: WorkbenchError) -> None:
    circuit = closed_circuit()

    for _ in range(5):
        passage(circuit, 0).failed(0, error)

    assert state(circuit) is CircuitState.OPEN


def test_after_the_rest_exactly_one_request_may_probe() -> None:
    circuit = closed_circuit()
    fail(circuit, 5)

    leaves = [circuit.enter(30 * NS_PER_S) for _ in range(100)]

    probes = [leave for leave in leaves if isinstance(leave, Passage)]
    assert [probe.is_probe for probe in probes] == [True]
    assert leaves[1:] == [Refusal(None, "boom")] * 99


def test_a_probe_that_is_answered_closes_it() -> None:
    circuit = closed_circuit()
    fail(circuit, 5)

    passage(circuit, 30).succeeded(31 * NS_PER_S)

    assert state(circuit) is CircuitState.CLOSED
    assert circuit.statistics().consecutive_failures == 0


def test_a_probe_that_fails_rests_again_in_full() -> None:
    circuit = closed_circuit()
    fail(circuit, 5)

    passage(circuit, 30).failed(40 * NS_PER_S, DOWN)

    assert circuit.enter(69 * NS_PER_S) == Refusal(70 * NS_PER_S, "boom")
    assert passage(circuit, 70).is_probe


@pytest.mark.parametrize("error", [None, RateLimited("slow")], ids=["cancelled", "refused"])
def test_a_probe_that_learns_nothing_leaves_its_place_to_the_next(error: WorkbenchError | None) -> None:
    circuit = closed_circuit()
    fail(circuit, 5)

    probe = passage(circuit, 30)
    if error is None:
        probe.abandoned()
    else:
        probe.failed(31 * NS_PER_S, error)

    assert passage(circuit, 31).is_probe


def test_a_late_success_from_before_the_opening_does_not_close_it() -> None:
    circuit = closed_circuit()
    slow = passage(circuit, 0)
    fail(circuit, 5)

    slow.succeeded(NS_PER_S)

    assert not slow.is_current
    assert state(circuit) is CircuitState.OPEN


def test_a_probe_is_judged_once() -> None:
    circuit = closed_circuit()
    fail(circuit, 5)
    probe = passage(circuit, 30)

    probe.succeeded(31 * NS_PER_S)
    probe.failed(32 * NS_PER_S, DOWN)

    assert circuit.statistics().consecutive_failures == 0


def test_a_reset_closes_every_circuit_and_ignores_the_probe_that_was_out() -> None:
    board = BreakerBoard()
    for url in ("http://one", "http://two"):
        fail(board.circuit("openai", url), 5)
    board.circuit("together", "http://three")
    probe = passage(board.circuit("openai", "http://one"), 30)

    reset = board.reset(31 * NS_PER_S)
    probe.failed(32 * NS_PER_S, DOWN)

    assert reset == 2
    assert [circuit.state for circuit in board.statistics()] == [CircuitState.CLOSED] * 3


def test_base_urls_of_one_provider_fail_apart() -> None:
    board = BreakerBoard()

    fail(board.circuit("local", "http://one"), 5)

    assert isinstance(board.circuit("local", "http://two").enter(0), Passage)


def test_the_history_says_when_and_why() -> None:
    circuit = closed_circuit()
    fail(circuit, 5, now_s=2)
    passage(circuit, 40).succeeded(41 * NS_PER_S)

    changes = [(change.at_ns // NS_PER_S, change.new, change.why) for change in circuit.statistics().history]

    assert changes == [
        (2, CircuitState.OPEN, "5 failures in a row, the last one: server error"),
        (40, CircuitState.HALF_OPEN, "30 s are over, one request may probe"),
        (41, CircuitState.CLOSED, "the probe was answered"),
    ]


def test_the_error_counts_down_and_names_the_cause() -> None:
    circuit = closed_circuit()
    fail(circuit, 5)
    refusal = circuit.enter(13 * NS_PER_S)
    assert isinstance(refusal, Refusal)

    error = breaker_open(circuit.key, refusal, 13 * NS_PER_S)

    assert "boom" in error.message
    assert "17 s" in error.hint


def judge(leave: Passage, verdict: str, now_ns: int) -> None:
    match verdict:
        case "ok":
            leave.succeeded(now_ns)
        case "fail":
            leave.failed(now_ns, DOWN)
        case _:
            leave.abandoned()


def test_failures_of_requests_sent_before_an_outage_do_not_open_it_again() -> None:
    circuit = closed_circuit()
    old = [passage(circuit, 0) for _ in range(20)]
    fail(circuit, 5)
    passage(circuit, 30).succeeded(31 * NS_PER_S)

    for leave in old:
        leave.failed(32 * NS_PER_S, DOWN)

    assert state(circuit) is CircuitState.CLOSED


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["enter", "ok", "fail", "drop", "wait"]), st.integers(0, 5)), max_size=60))
def test_at_most_one_leave_is_out_while_it_is_not_closed(steps: list[tuple[str, int]]) -> None:
    circuit = closed_circuit()
    out: list[Passage] = []
    now = 0
    for step, pick in steps:
        match step:
            case "enter":
                if isinstance(leave := circuit.enter(now), Passage):
                    out.append(leave)
            case "wait":
                now += pick * 10 * NS_PER_S
            case _ if out:
                judge(out.pop(pick % len(out)), step, now)

        current_probes = [leave for leave in out if leave.is_probe and leave.is_current]
        assert len(current_probes) <= 1
        if state(circuit) is CircuitState.OPEN:
            assert not current_probes

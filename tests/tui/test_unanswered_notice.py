"""What a pane says while nothing has come back, and where the time went of a request that came to nothing."""

from __future__ import annotations

import pytest

from workbench.core.clock import NS_PER_S
from workbench.core.errors import TimedOut, TimeoutKind
from workbench.core.events import Admitted, Delta, Failed
from workbench.core.sending import Sending
from workbench.core.types import Channel, FinishReason, Result, Route, Timing
from workbench.session.lane import Lane, Turn
from workbench.session.targets import Target
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import state_words
from workbench.tui.widgets.lane_notice import notice_for

ROUTE = Route("alpha", "scripted", "alpha", "https://alpha.test/v1")
NOW = 4 * NS_PER_S
OUT = {"dialled_ns": 0, "connected_ns": 2 * NS_PER_S, "sent_ns": 2 * NS_PER_S}


def let_go(sending: Sending) -> tuple[Lane, Turn]:
    lane = Lane(Target("alpha"))
    turn = lane.begin("?", "", 0)
    lane.apply(turn, Admitted(1, ROUTE, None, 1, sending))
    return lane, turn


def shown(turn: Turn, width: int = 80) -> str:
    notice = notice_for(turn, (), NOW, Glyphs(), width)
    return "" if notice is None else notice.content.plain


def test_a_pane_follows_its_request_on_its_way_out() -> None:
    sending = Sending()
    _, turn = let_go(sending)
    said = []

    for change in ({}, {"dialled_ns": 1}, {"connected_ns": 2 * NS_PER_S}, {"sent_ns": 3 * NS_PER_S}):
        for name, at_ns in change.items():
            setattr(sending, name, at_ns)
        said.append((state_words(turn.state, is_sent=turn.is_sent), shown(turn)))

    assert said == [
        ("connecting", "◌ waiting for the first token"),
        ("connecting", "◌ connecting to alpha.test for 4 s"),
        ("connecting", "◌ sending the request to alpha.test for 2 s"),
        ("waiting", "◌ waiting for the first token"),
    ]


@pytest.mark.parametrize(
    ("stamps", "width", "line"),
    [
        ({"dialled_ns": 0}, 80, "╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ connect 10.0s"),
        (OUT, 60, "╌╌░░░░░░ connect 2.00s, prefill 8.00s"),
        ({"dialled_ns": 0}, 8, ""),
        ({}, 80, ""),
    ],
    ids=["never connected", "never answered", "no room", "nobody tells"],
)
def test_a_request_that_came_to_nothing_says_where_its_time_went(stamps: dict[str, int], width: int, line: str) -> None:
    lane, turn = let_go(Sending())
    timing = Timing(0, admitted_ns=0, done_ns=10 * NS_PER_S, **stamps)
    partial = Result("", "", FinishReason.TIMED_OUT, None, None, timing, ROUTE)

    lane.apply(turn, Failed(10, TimedOut("alpha.test did not answer.", kind=TimeoutKind.TOTAL), partial))

    assert shown(turn, width).partition("did not answer.")[2].strip() == line


def test_below_an_answer_that_broke_off_it_is_not_said_twice() -> None:
    lane, turn = let_go(Sending())
    timing = Timing(0, admitted_ns=0, dialled_ns=0, done_ns=10 * NS_PER_S)
    partial = Result("so", "", FinishReason.TIMED_OUT, None, None, timing, ROUTE)
    lane.apply(turn, Delta(5, Channel.TEXT, "so"))

    lane.apply(turn, Failed(10, TimedOut("It fell silent.", kind=TimeoutKind.IDLE), partial))

    assert "connect" not in shown(turn)

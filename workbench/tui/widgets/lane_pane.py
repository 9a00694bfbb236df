"""One lane on screen: two border lines, the answer between them, and a notice when there is something to say.

A pane asks its lane for news when the frame clock ticks; nothing is sent to it. It remembers how far it has read, so it
can be hidden, paged away and shown again without losing or repeating a character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from workbench.core.clock import NS_PER_S, Clock
from workbench.core.events import Queued, Retrying
from workbench.core.types import Channel
from workbench.session.anatomy import anatomy_of
from workbench.session.lane import Lane, Turn
from workbench.session.lane_state import LaneState
from workbench.session.remedies import Remedy, remedies_for
from workbench.session.targets import ACCENTS
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import header_figures, header_title, state_words
from workbench.tui.widgets.lane_notice import LaneNotice, Notice, notice_for
from workbench.tui.widgets.stream_view import StreamView

_NOTE_FRAME = 8
"""Cells that a note has beside its text: a sign at each end, the pane's padding and scrollbar."""

HEADER_PERIOD_NS = NS_PER_S // 4
"""Figures change at 4 Hz: faster cannot be read, and every change repaints a border."""

_ACCENT_RULES = "\n".join(
    f"    LanePane.-accent-{n} {{ border-title-color: $lane-{n}; &:focus-within {{ border: heavy $lane-{n}; }} }}"
    for n in range(1, ACCENTS + 1)
)


class LanePane(Vertical):
    """Shows one turn of one lane."""

    HELP = """
    # What its border says

    The top line names the target, as far as it differs from the others, and its state. The bottom line has
    its figures:

    - **TTFT**: from the moment the request was written to the first token of any kind, thinking included.
    - **answer**: the same, to the first token of the answer itself.
    - **t/s**: output tokens per second after the first one.
    - **tok**: output tokens, thinking included. `~` marks our estimate, until the provider's own count arrives.
    - **$**: what the answer cost; `—` when the price is not known.
    - the small graph is the rate over time.

    Under a finished answer stands where its time went, as a bar and in words: in the **queue**, in **retries**, to
    **connect**, in **sending** (until the whole request is written), in **prefill** (until the first token), in
    **thought**, in the **answer** and **stalled** (pauses of a second or more). Together they are all the time from
    asking to the last token.

    Waiting in the queue, retries and a slow screen are never part of these figures.
    """

    DEFAULT_CSS = f"""
    LanePane {{
        width: 1fr;
        height: 1fr;
        border: round $border-blurred;
        border-subtitle-color: $foreground;
        border-subtitle-align: left;
        background: $background;
    }}
    LanePane StreamView {{ height: 1fr; padding: 0 0 0 1; background: $background; scrollbar-size: 1 1; }}
    LanePane.-empty LaneNotice {{ dock: top; }}
{_ACCENT_RULES}
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "stop", "Stop", id="pane.stop", tooltip="Stop this answer; what has arrived stays"),
        Binding("r", "retry", "Retry", id="pane.retry", tooltip="Ask this model again"),
        Binding("y", "copy_answer", "Copy", id="pane.copy", tooltip="Copy this answer"),
        Binding(
            "Y", "copy_conversation", "Copy all", id="pane.copy-conversation", show=False, tooltip="Copy every turn"
        ),
        Binding("z", "screen.zoom", "Zoom", id="pane.zoom", tooltip="This pane alone; again for all"),
        Binding("e", "edit", "Parameters", id="pane.edit", show=False, tooltip="Change this target's parameters"),
        Binding("f3", "screen.pager", "Pager", id="pane.pager", show=False, tooltip="Read this answer in your pager"),
        Binding("j,down", "scroll('down')", "Down", id="pane.down", show=False),
        Binding("k,up", "scroll('up')", "Up", id="pane.up", show=False),
        Binding("ctrl+d", "scroll('half_down')", "Half a page down", id="pane.half-down", show=False),
        Binding("ctrl+u", "scroll('half_up')", "Half a page up", id="pane.half-up", show=False),
        Binding("g", "scroll('home')", "To the beginning", id="pane.home", show=False),
        Binding("G", "scroll('end')", "To the end", id="pane.end", show=False),
    ]

    @dataclass
    class Asked(Message):
        """A person wants something done with this pane's lane."""

        pane: LanePane
        what: str
        """`stop`, `retry`, `copy`, `copy-conversation` or `edit`."""

    @dataclass
    class FixChosen(Message):
        pane: LanePane
        remedy: Remedy

    def __init__(self, lane: Lane, *, clock: Clock, glyphs: Glyphs) -> None:
        super().__init__(classes=f"-accent-{lane.target.accent} -empty")
        self.lane = lane
        self.number = 1
        self.heading = lane.target.name
        self.ready_text = ""
        """What to say before the first question: facts about the model."""
        self.view = StreamView(clock=clock, ascii_only=glyphs.ascii_only)
        self.notice = LaneNotice()
        self.remedies: tuple[Remedy, ...] = ()
        self._clock = clock
        self._glyphs = glyphs
        self._turn_index = -1
        self._turn: Turn | None = None
        self._position = 0
        self._stalls = 0
        self._state: LaneState | None = None
        self._waiting: Queued | Retrying | None = None
        self._revision = -1
        self._header_due_ns = 0
        self._wake: Callable[[], None] | None = None

    def compose(self) -> ComposeResult:
        yield self.view
        yield self.notice

    # Reading the lane

    @property
    def turn(self) -> Turn | None:
        """The turn that is shown: the last one, unless a person looks at an earlier one."""
        turns = self.lane.turns
        if self._turn_index < 0 or self._turn_index >= len(turns):
            return turns[-1] if turns else None
        return turns[self._turn_index]

    def show_turn(self, index: int) -> None:
        """Show an earlier turn; -1 follows the latest."""
        self._turn_index = index
        self.touch()

    def touch(self) -> None:
        """Draw everything anew with the next frame: title, figures, notice."""
        self._header_due_ns = 0
        self._revision = -1
        self._state = None
        if self._wake is not None:
            self._wake()

    def connect(self, wake: Callable[[], None] | None) -> None:
        self._wake = wake
        self.view.connect(wake)

    def flush(self, budget_s: float) -> bool:
        """Take what the lane has got since the last frame, and draw. True while more is to be expected."""
        turn = self.turn
        if turn is not self._turn:
            self._begin(turn)
        if turn is not None:
            self._take(turn)
        now_ns = self._clock.monotonic_ns()
        state = turn.state if turn is not None else LaneState.READY
        waiting = turn.waiting if turn is not None else None
        is_news = state is not self._state or waiting is not self._waiting
        if is_news or (now_ns >= self._header_due_ns and (state.is_running or self._is_stale)):
            self._state = state
            self._waiting = waiting
            self._revision = self.lane.revision
            self._header_due_ns = now_ns + HEADER_PERIOD_NS
            self._draw_header(turn, state, now_ns)
            self._draw_notice(turn, state, now_ns)
        more = self.view.flush(budget_s)
        return more or state.is_running

    @property
    def _is_stale(self) -> bool:
        return self._revision != self.lane.revision

    def _begin(self, turn: Turn | None) -> None:
        self._turn = turn
        self._position = 0
        self._stalls = 0
        self._state = None
        if turn is not None and turn.state.is_final and turn.pieces:
            self._position = len(turn.pieces)
            self._stalls = len(turn.stalls)
            self.view.set_text(turn.text(), turn.text(Channel.REASONING), at_end=False)
            self._tell_reasoning(turn)
            self._tell_anatomy(turn)
        else:
            self.view.clear()

    def _take(self, turn: Turn) -> None:
        pieces = turn.pieces
        is_news = self._position < len(pieces)
        while self._position < len(pieces):
            if self._stalls < len(turn.stalls) and turn.stalls[self._stalls].position <= self._position:
                self.view.add_note(f"stall {turn.stalls[self._stalls].seconds:.1f} s")
                self._stalls += 1
            channel, text = pieces[self._position]
            self._position += 1
            self.view.append(channel, text)
        if is_news and (span := turn.meter.reasoning_span_ns) is not None:
            # A pane that was out of sight takes everything at once, long after it came.
            self.view.time_reasoning(*span)
        if turn.state.is_final and self.view.is_streaming:
            self.view.finish()
            self._tell_reasoning(turn)
            self._tell_anatomy(turn)

    def _tell_reasoning(self, turn: Turn) -> None:
        numbers = turn.numbers(self._clock.monotonic_ns())
        self.view.set_reasoning_facts(seconds=numbers.reasoning_s, tokens=numbers.reasoning_tokens)

    def _tell_anatomy(self, turn: Turn) -> None:
        """Where the time went, as the last line of what is read; nothing for an answer that took none."""
        if turn.result is None or turn.result.cached or not turn.pieces:
            return
        anatomy = anatomy_of(turn.result.timing)
        line = anatomy.line(self.view.size.width - _NOTE_FRAME, ascii_only=self._glyphs.ascii_only) if anatomy else ""
        if line:
            self.view.add_note(line)

    # Border and notice

    def _draw_header(self, turn: Turn | None, state: LaneState, now_ns: int) -> None:
        width = max(10, self.size.width - 4)
        words = str(state) if turn is None else state_words(state, turn.error, is_sent=turn.is_sent)
        numbers = turn.numbers(now_ns) if turn is not None else None
        if numbers is not None and state in (LaneState.THINKING, LaneState.CONNECTING):
            since = numbers.reasoning_s if state is LaneState.THINKING else numbers.elapsed_s
            words = f"{words} {since or 0.0:.1f}s"
        self.border_title = header_title(self.number, self.heading, state, words, self._glyphs, width)
        if turn is None or numbers is None:
            self.border_subtitle = None
            return
        self.border_subtitle = header_figures(
            numbers,
            state,
            lambda cells: turn.meter.rate_series(cells, now_ns),
            accent=self.lane.target.accent,
            glyphs=self._glyphs,
            width=width,
        )

    def _draw_notice(self, turn: Turn | None, state: LaneState, now_ns: int) -> None:
        has_output = turn is not None and bool(turn.pieces)
        self.set_class(not has_output, "-empty")
        if turn is None:
            self.remedies = ()
            said = Content.styled(self.ready_text, "$foreground-muted")
            self.notice.show(Notice(state, said) if self.ready_text else None, alone=True)
            return
        is_last = turn is self.lane.turn
        self.remedies = remedies_for(turn, self.lane.target) if is_last else ()
        self.notice.show(
            notice_for(turn, self.remedies, now_ns, self._glyphs, self.size.width - _NOTE_FRAME), alone=not has_output
        )

    def on_resize(self) -> None:
        self.touch()

    # Acting

    def key_target(self) -> StreamView:
        """What gets the focus when this pane does."""
        return self.view

    def on_key(self, event: events.Key) -> None:
        """Digits choose a fix while there are fixes; otherwise they are the screen's, and go to a pane."""
        if event.character and event.character.isdigit() and 0 < int(event.character) <= len(self.remedies):
            event.stop()
            event.prevent_default()
            self.action_fix(int(event.character))

    def action_fix(self, number: int) -> None:
        if 0 < number <= len(self.remedies):
            self.post_message(self.FixChosen(self, self.remedies[number - 1]))

    def action_stop(self) -> None:
        self.post_message(self.Asked(self, "stop"))

    def action_retry(self) -> None:
        self.post_message(self.Asked(self, "retry"))

    def action_copy_answer(self) -> None:
        self.post_message(self.Asked(self, "copy"))

    def action_copy_conversation(self) -> None:
        self.post_message(self.Asked(self, "copy-conversation"))

    def action_edit(self) -> None:
        self.post_message(self.Asked(self, "edit"))

    def action_scroll(self, how: str) -> None:
        view = self.view
        page = max(1, view.size.height // 2)
        match how:
            case "down":
                view.scroll_relative(y=1, animate=False)
            case "up":
                view.scroll_relative(y=-1, animate=False)
            case "half_down":
                view.scroll_relative(y=page, animate=False)
            case "half_up":
                view.scroll_relative(y=-page, animate=False)
            case "home":
                view.scroll_home(animate=False)
            case "end":
                view.scroll_end(animate=False)

"""What a pane says beside its answer: why it waits, how it ended, and what can be done about it.

Shown only when there is something to say: at the top of a pane that has no text yet, below the text of one that has.
Everything in it that came from a provider is text, never markup, and has lost its control codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from workbench.core.errors import ProviderError, WorkbenchError
from workbench.core.events import Queued, Retrying
from workbench.core.text import strip_control
from workbench.session.anatomy import anatomy_of
from workbench.session.lane import Turn
from workbench.session.lane_state import LaneState
from workbench.session.remedies import Remedy
from workbench.session.waiting import wait_facts, way_out
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import STATE_STYLES, state_words

LONG_S = 1.0
"""What fails sooner needs no telling where the time went."""

MAX_MESSAGE = 600
"""Characters of a provider's message: some put their whole documentation, or our whole prompt, into it."""


@dataclass(frozen=True, slots=True)
class Notice:
    state: LaneState
    content: Content


class LaneNotice(Static):
    """A few lines below or instead of an answer."""

    DEFAULT_CSS = """
    LaneNotice {
        height: auto;
        max-height: 60%;
        display: none;
        padding: 0 1;
        color: $foreground;
        &.-shown { display: block; }
        &.-alone { padding: 1 2; }
        &.-error { border-left: thick $error; background: $error 8%; }
        &.-warning { border-left: thick $warning; background: $warning 8%; }
        &:ansi.-error, &:ansi.-warning { background: transparent; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.auto_links = False
        self._notice: Notice | None = None

    def show(self, notice: Notice | None, *, alone: bool) -> None:
        """Say this, or nothing. `alone`: there is no answer text above it."""
        self.set_class(notice is not None, "-shown")
        self.set_class(alone, "-alone")
        if notice is None:
            self._notice = None
            return
        if self._notice is not None and notice.content.is_same(self._notice.content):
            return
        lines = notice.content.plain.count("\n")
        same_height = self._notice is not None and self._notice.content.plain.count("\n") == lines
        self._notice = notice
        self.set_class(notice.state.is_failure and notice.state in _ERRORS, "-error")
        self.set_class(notice.state.is_final and notice.state not in _ERRORS, "-warning")
        self.update(notice.content, layout=not (same_height and notice.state.is_running))

    @property
    def plain(self) -> str:
        return self._notice.content.plain if self._notice is not None else ""


_ERRORS = frozenset({LaneState.FAILED, LaneState.TIMED_OUT, LaneState.INCOMPLETE})

_ENDINGS: dict[LaneState, str] = {
    LaneState.TRUNCATED: "The answer reached its token limit and was cut off.",
    LaneState.FILTERED: "The provider's content filter ended the answer.",
    LaneState.REFUSED: "The model declined to answer.",
    LaneState.CANCELLED: "Stopped here.",
    LaneState.TIMED_OUT: "No more came in time.",
    LaneState.INCOMPLETE: "The connection ended before the answer did.",
}


def notice_for(turn: Turn, remedies: tuple[Remedy, ...], now_ns: int, glyphs: Glyphs, width: int) -> Notice | None:
    """What there is to say about a turn at this moment, or None when the answer speaks for itself.

    `width` is what a line may have of cells: where the time went is left out rather than wrapped.
    """
    match turn.state:
        case LaneState.QUEUED:
            return Notice(turn.state, _waiting(turn.waiting, now_ns, glyphs))
        case LaneState.CONNECTING:
            said = way_out(turn.admitted, now_ns) or "waiting for the first token"
            return Notice(turn.state, Content.styled(f"{glyphs.state(turn.state)} {said}", "dim"))
        case LaneState.THINKING | LaneState.STREAMING:
            return None
        case LaneState.DONE | LaneState.CACHED:
            return _empty_answer(turn)
        case _:
            return Notice(turn.state, _ending(turn, remedies, glyphs, width))


def _waiting(event: Queued | Retrying | None, now_ns: int, glyphs: Glyphs) -> Content:
    glyph = glyphs.state(LaneState.QUEUED)
    if event is None:
        return Content.styled(f"{glyph} starting", "dim")
    reason, facts = wait_facts(event, now_ns)
    said = f"  {f' {glyphs.dot} '.join(facts)}" if facts else ""
    why = ("\n" + _clean(event.error.message), "$foreground-muted") if isinstance(event, Retrying) else ""
    return Content.assemble((f"{glyph} {reason}", "$text-warning"), said, why)


def _empty_answer(turn: Turn) -> Notice | None:
    """A model that stops without a word, or only calls a tool, leaves a pane that needs explaining."""
    if turn.has_text:
        return None
    calls = turn.result.tool_calls if turn.result is not None else ""
    said = f"The model asked for a tool:\n{strip_control(calls)}" if calls else "The model ended without a word."
    return Notice(turn.state, Content.styled(said, "$foreground-muted"))


def _ending(turn: Turn, remedies: tuple[Remedy, ...], glyphs: Glyphs, width: int) -> Content:
    state, error = turn.state, turn.error
    lines = [
        Content.styled(f"{glyphs.state(state)} {state_words(state, error)}", f"bold {STATE_STYLES[state]}"),
    ]
    if error is not None:
        lines[0] = Content.assemble(lines[0], ("  " + _clean(error.message), "$foreground"))
        if error.hint:
            lines.append(Content(_clean(error.hint)))
        if facts := _facts(error, glyphs):
            lines.append(Content.styled(facts, "$foreground-muted"))
        if spent := _spent(turn, glyphs, width):
            lines.append(Content.styled(spent, "$foreground-muted"))
    elif ending := _ENDINGS.get(state):
        lines[0] = Content.assemble(lines[0], ("  " + ending, "$foreground"))
    if remedies:
        lines.append(_keys(remedies))
    return Content("\n").join(lines)


def _spent(turn: Turn, glyphs: Glyphs, width: int) -> str:
    """Where the time went of a request that took some and came to nothing; below an answer it stands already."""
    anatomy = anatomy_of(turn.result.timing) if turn.result is not None and not turn.pieces else None
    if anatomy is None or anatomy.total_s < LONG_S:
        return ""
    return anatomy.line(width, ascii_only=glyphs.ascii_only)


def _facts(error: WorkbenchError, glyphs: Glyphs) -> str:
    """Where it happened and what to quote to the provider's support."""
    if not isinstance(error, ProviderError):
        return ""
    facts = [
        error.provider,
        f"HTTP {error.status}" if error.status is not None else "",
        error.code,
        f"key {error.key_alias}" if error.key_alias else "",
        f"request {error.request_id}" if error.request_id else "",
    ]
    return f" {glyphs.dot} ".join(strip_control(fact) for fact in facts if fact)


def _keys(remedies: tuple[Remedy, ...]) -> Content:
    parts: list[Content] = []
    for number, remedy in enumerate(remedies, 1):
        part = Content.assemble((f" {number} ", "bold $text-accent"), remedy.label)
        parts.append(part.stylize(Style.from_meta({"@click": f"pane.fix({number})"})))
    return Content("  ").join(parts)


def _clean(text: str) -> str:
    text = " ".join(strip_control(text).split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"

"""The line-up in one line: every target with its state, so that those that are not on screen stay alive.

Says less as the line gets shorter: first the figures go, then the words, then the ends of the names.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.style import Style

from workbench.session import figures
from workbench.session.lane import Lane
from workbench.session.lane_state import LaneState
from workbench.tui.arrangement import Arrangement
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.lane_header import STATE_STYLES, state_words

SHORTEST_NAME = 8
"""Cells: with fewer names cannot be told apart. Then the end of the line is cut off."""


class LineUpStrip(Bar):
    HELP = """
    # The line-up

    Every model that is asked, with its state. The panes of those with a bar beneath their number are on screen; click
    one to go to it, or press its number outside the prompt. F2 changes the line-up.
    """

    DEFAULT_CSS = """
    LineUpStrip { background: $surface; padding: 0 1; }
    """

    def show_lanes(self, lanes: Sequence[Lane], arrangement: Arrangement, now_ns: int, glyphs: Glyphs) -> None:
        """Draw the strip for these lanes in the width there is."""
        right = _paging(arrangement, glyphs)
        room = self.size.width - right.cell_length - 2
        items: list[Content] = []
        # Of each item a number, a sign and three blanks are not its name.
        share = max(SHORTEST_NAME, room // max(1, len(lanes)) - 5)
        for detail in (3, 2, 1, 0):
            items = [
                _item(index, lane, detail, arrangement.shows(index), now_ns, glyphs, share)
                for index, lane in enumerate(lanes)
            ]
            if sum(item.cell_length for item in items) + 3 * (len(items) - 1) <= room:
                break
        self.show(
            Content("   " if sum(i.cell_length for i in items) + 3 * len(items) <= room else " ").join(items), right
        )


def _item(index: int, lane: Lane, detail: int, on_screen: bool, now_ns: int, glyphs: Glyphs, share: int) -> Content:
    """`1 ● gpt-5.4 87 t/s`; `detail` from 3 (with figures) down to 0 (a name of `share` cells at most)."""
    state = lane.state
    error, is_sent = (lane.turn.error, lane.turn.is_sent) if lane.turn is not None else (None, False)
    name = lane.target.name
    if detail == 0 and len(name) > share:
        name = name[: share - 1] + "…"
    number = Content.styled(f"{index + 1}", f"bold $lane-{lane.target.accent}" + (" reverse" if on_screen else ""))
    content = Content.assemble(
        number, " ", (glyphs.state(state), STATE_STYLES[state]), " ", (name, "" if on_screen else "$foreground-muted")
    )
    if detail >= 2:
        words = _figure(lane, now_ns) if detail == 3 else ""
        said = words or ("" if state is LaneState.READY else state_words(state, error, is_sent=is_sent))
        if said:
            content = Content.assemble(content, " ", (said, STATE_STYLES[state] if not words else "$foreground-muted"))
    return content.stylize(Style.from_meta({"@click": f"screen.focus_lane({index})"}))


def _figure(lane: Lane, now_ns: int) -> str:
    """What is most worth knowing: the rate while it streams, the size once it is done."""
    if lane.turn is None:
        return ""
    numbers = lane.turn.numbers(now_ns)
    match lane.state:
        case LaneState.STREAMING:
            return figures.rate(numbers.rate_tps)
        case LaneState.THINKING:
            return f"thinking {numbers.reasoning_s or 0.0:.1f}s"
        case LaneState.DONE | LaneState.CACHED:
            return figures.tokens(numbers.output_tokens, estimated=numbers.tokens_estimated)
        case _:
            return ""


def _paging(arrangement: Arrangement, glyphs: Glyphs) -> Content:
    if not arrangement.is_paged:
        return Content()
    first, last = arrangement.first + 1, arrangement.first + arrangement.shown
    which = f"pane {first}" if first == last else f"panes {first}-{last}"
    before = f"{glyphs.fewer} " if first > 1 else ""
    after = f" {glyphs.more}" if last < arrangement.total else ""
    return Content.styled(f"  {before}{which} of {arrangement.total}{after}", "$foreground-muted")

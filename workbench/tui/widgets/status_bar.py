"""The monitor in one line: what is in flight, how fast it is, and whether this machine keeps up.

Also where small news goes (`copied 318 characters`): it stands there for a few seconds and takes no room.
"""

from __future__ import annotations

from textual.content import Content
from textual.timer import Timer

from workbench.tui.widgets.live_bar import LiveBar

FLASH_S = 3.0


class StatusBar(LiveBar):
    HELP = """
    # The monitor line

    - **in flight**, **queued**: requests on the wire, and waiting for a limit.
    - **TTFT** p50 and p95 over the last minute: `—` until there are enough answers to say.
    - **t/s**: tokens that arrive per second, over all models.
    - **429**: refusals by a rate limit since the start.
    - **lag**: how late this program's own loop is. When it is high, this machine and not the provider is the limit.
    """

    DEFAULT_CSS = """
    StatusBar { background: $surface; color: $text-muted; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._flash: Content | None = None
        self._timer: Timer | None = None
        self._figures = (Content(), Content())

    def flash(self, message: str, *, style: str = "$text-accent") -> None:
        """Say something small for a few seconds."""
        self._flash = Content.styled(message, style)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(FLASH_S, self._flash_over)
        self.show(self._flash, self._figures[1])

    def show_figures(self, left: Content, right: Content) -> None:
        self._figures = (left, right)
        self.show(self._flash or left, right)

    def _flash_over(self) -> None:
        self._flash = None
        self.show(*self._figures)

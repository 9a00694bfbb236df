"""Writes what a person would miss to disk: soon after it changed, in a thread, and for certain before the end."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App
from textual.timer import Timer

from workbench.session.draft import Draft
from workbench.session.memory import Memory

DELAY_S = 0.5
"""After the last key press: what is written is on disk half a second later."""


class Autosave:
    def __init__(self, app: App[object], memory: Memory) -> None:
        self._app = app
        self._memory = memory
        self._timer: Timer | None = None
        self._unsaved: Draft | None = None

    def keep(self, draft: Draft) -> None:
        """Have this draft on disk soon."""
        self._unsaved = draft
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._app.set_timer(DELAY_S, self._save)

    def remember(self, save: Callable[[], object]) -> None:
        """Run one of the memory's methods in a thread."""
        self._app.run_worker(save, thread=True, group="memory")

    def flush(self) -> None:
        """Write now what is not written yet; blocking, for the end of the program."""
        draft, self._unsaved = self._unsaved, None
        if draft is not None:
            self._memory.save_draft(draft)

    def _save(self) -> None:
        self.remember(self.flush)

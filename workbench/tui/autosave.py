"""Has the draft on disk soon after it changed, without writing at every key."""

from __future__ import annotations

from textual.app import App
from textual.timer import Timer

from workbench.session.draft import Draft
from workbench.session.memory import Memory

DELAY_S = 0.5
"""After the last key press: what is written is on disk half a second later."""


class Autosave:
    """Files are written by a worker thread, since a slow disk must not stop the screen."""

    def __init__(self, app: App[object], memory: Memory) -> None:
        self._app = app
        self._memory = memory
        self._timer: Timer | None = None
        self._unsaved: Draft | None = None
        memory.run = lambda write: app.run_worker(write, thread=True, group="memory")

    def keep(self, draft: Draft) -> None:
        """Have this draft on disk soon."""
        self._unsaved = draft
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._app.set_timer(DELAY_S, self._save)

    def close(self) -> None:
        """Write everything now that is not written yet; blocking, for the end of the program."""
        self._memory.run = lambda write: write()
        self._save()
        self._memory.flush()

    def _save(self) -> None:
        draft, self._unsaved = self._unsaved, None
        if draft is not None:
            self._memory.save_draft(draft)

"""What goes out of the app and comes back: the clipboard, a person's editor and pager, files that become prompts."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.widgets.prompt_editor import PromptEditor


class Errands:
    def __init__(self, app: WorkbenchApp) -> None:
        self._app = app

    def copy_text(self, text: str, what: str) -> None:
        if text:
            self._app.later(partial(self._copy, text, what))
        else:
            self._app.flash("Nothing to copy yet.")

    async def _copy(self, text: str, what: str) -> None:
        from workbench.tui.clipboard import copy_with, desktop_tool

        tool = None if self._app.is_headless or self._app.is_web else desktop_tool(self._app.environ)
        way = "through the terminal"
        if tool is not None and await copy_with(tool, text):
            way = f"with {tool[0]}"
        else:
            self._app.copy_to_clipboard(text)
        self._app.flash(f"Copied {what}: {len(text):,} characters, {way}.")

    def edit_prompt(self, editor: PromptEditor) -> None:
        """The prompt in the person's own editor."""
        from workbench.tui.external import edit_in

        text = editor.prompt_area.text
        edited = edit_in(self._app, self._app.environ, text)
        if edited is not None and edited != text:
            editor.prompt_area.replace_all(edited)

    def show_in_pager(self, text: str) -> None:
        from workbench.tui.external import page_in

        page_in(self._app, self._app.environ, text)

    def open_file(self) -> None:
        from workbench.tui.screens.name_dialog import NameDialog

        def chosen(path: str | None) -> None:
            if path:
                self._app.later(partial(self._read_file, Path(path).expanduser()))

        hint = "a text or Markdown file · enter opens it · esc leaves it"
        self._app.push_screen(NameDialog("Open a file as the prompt", hint=hint), chosen)

    async def _read_file(self, path: Path) -> None:
        from workbench.session.draft import read_prompt

        try:
            text = await asyncio.to_thread(read_prompt, path)
        except WorkbenchError as error:
            self._app.notify(str(error), title="File not opened", severity="error", markup=False)
        else:
            self._app.compare.editor.prompt_area.replace_all(text)
            self._app.compare.action_focus_prompt()

"""What the workbench remembers for a person between two starts: draft, prompt history, line-ups, stars, recent models.

Small JSON files in the state directory, replaced atomically, readable by their owner alone. A file that cannot be read
is set aside under another name, reported once in `problems` and started anew: remembering is a comfort, and never a
reason not to start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from workbench.core.errors import UsageError
from workbench.core.params import params_from
from workbench.core.types import Json, Params
from workbench.session.draft import Draft
from workbench.session.targets import LineUp, Target

HISTORY_LIMIT = 500
RECENT_LIMIT = 12


class Memory:
    """Reads everything when it is made, writes one file when that file's part changes.

    Args:
        directory: where the files are; None remembers nothing beyond this process, as a demo should.
    """

    def __init__(self, directory: Path | None) -> None:
        self.run: Callable[[Callable[[], None]], object] = lambda write: write()
        """How a file is written: at once, unless somebody has a thread for it."""
        self._directory = directory
        self._pending: dict[str, str] = {}
        # Two threads that save the same file must not share its temporary.
        self._writing = Lock()
        self.problems: list[str] = []
        draft = self._read("draft.json")
        self.draft = Draft(_text(draft.get("prompt")), _text(draft.get("system")))
        self.history: list[str] = [_text(entry) for entry in _items(self._read("history.json").get("prompts"))]
        models = self._read("models.json")
        self.stars: set[str] = {_text(name) for name in _items(models.get("stars"))}
        self.recent: list[str] = [_text(name) for name in _items(models.get("recent"))]
        line_ups = self._read("line-ups.json")
        self.line_ups: dict[str, LineUp] = {
            name: _line_up_from(entries, name) for name, entries in _mapping(line_ups.get("saved")).items()
        }
        self.last_line_up = _line_up_from(line_ups.get("last"), "")
        looks = self._read("looks.json")
        self.theme = _text(looks.get("theme"))
        self.layout = _text(looks.get("layout"))

    # Drafts and history

    def save_draft(self, draft: Draft) -> None:
        self.draft = draft
        self._write("draft.json", {"prompt": draft.prompt, "system": draft.system})

    def remember_prompt(self, prompt: str) -> None:
        """Put a prompt at the end of the history; one that is in it already moves there."""
        self.history = [*(entry for entry in self.history if entry != prompt), prompt][-HISTORY_LIMIT:]
        self._write("history.json", {"prompts": self.history})

    # Models and line-ups

    def toggle_star(self, model: str) -> bool:
        """True if the model is starred now."""
        self.stars ^= {model}
        self._save_models()
        return model in self.stars

    def remember_models(self, models: Iterable[str]) -> None:
        used = list(dict.fromkeys(models))
        self.recent = [*used, *(name for name in self.recent if name not in used)][:RECENT_LIMIT]
        self._save_models()

    def save_line_up(self, name: str, line_up: LineUp) -> None:
        self.line_ups[name] = line_up
        self._save_line_ups()

    def remember_line_up(self, line_up: LineUp) -> None:
        self.last_line_up = line_up
        self._save_line_ups()

    def remember_looks(self, *, theme: str | None = None, layout: str | None = None) -> None:
        self.theme = self.theme if theme is None else theme
        self.layout = self.layout if layout is None else layout
        self._write("looks.json", {"theme": self.theme, "layout": self.layout})

    def _save_models(self) -> None:
        self._write("models.json", {"stars": sorted(self.stars), "recent": self.recent})

    def _save_line_ups(self) -> None:
        saved = {name: _line_up_as_json(line_up) for name, line_up in sorted(self.line_ups.items())}
        self._write("line-ups.json", {"saved": saved, "last": _line_up_as_json(self.last_line_up)})

    # Files

    def _read(self, name: str) -> dict[str, Any]:
        if self._directory is None:
            return {}
        path = self._directory / name
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.problems.append(f"{path} cannot be read ({error.strerror}); starting without it.")
            return {}
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
        aside = path.with_suffix(".broken")
        try:
            path.replace(aside)
        except OSError:
            aside = path
        self.problems.append(f"{path} is not what was written there; kept as {aside.name}, starting without it.")
        return {}

    def _write(self, name: str, value: Mapping[str, Json]) -> None:
        """Have a file replaced: what it will hold is settled now, the writing may happen on another thread."""
        if self._directory is None:
            return
        self._pending[name] = json.dumps(value, ensure_ascii=False, indent=1)
        self.run(partial(self._put, name))

    def flush(self) -> None:
        """Write everything that is still waiting to be written; blocking."""
        for name in list(self._pending):
            self._put(name)

    def _put(self, name: str) -> None:
        """Replace a file with the latest that it should hold; nothing if another thread already has."""
        assert self._directory is not None, "nothing is pending without a directory"
        path = self._directory / name
        # The process id keeps two workbenches from writing into one temporary file; the last one to replace wins.
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with self._writing:
            text = self._pending.pop(name, None)
            if text is None:
                return
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                # As it is read, whatever the locale; half a character, which no encoding has, is not worth the rest.
                with os.fdopen(created, "w", encoding="utf-8", errors="replace") as file:
                    file.write(text)
                temporary.replace(path)
            except OSError as error:
                problem = f"{path} cannot be written ({error.strerror}); it will not be remembered."
                if problem not in self.problems:
                    self.problems.append(problem)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _items(value: object) -> list[object]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _line_up_as_json(line_up: LineUp) -> list[Json]:
    return [
        {"model": target.model, "label": target.label, "params": target.params.as_dict()} for target in line_up.targets
    ]


def _line_up_from(entries: object, name: str) -> LineUp:
    """A line-up from what was saved; what makes no sense in it is left out."""
    line_up = LineUp(name=name)
    for entry in entries if isinstance(entries, list) else []:
        fields = _mapping(entry)
        if model := _text(fields.get("model")).strip():
            try:
                params = params_from(_mapping(fields.get("params")))
            except UsageError:
                params = Params()
            line_up = line_up.add(Target(model, params, _text(fields.get("label"))))
    return line_up

"""A person's own editor and pager, which have the terminal for as long as they run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from textual.app import App, SuspendNotSupported

from workbench.core.errors import ConfigError

_EDITORS = ("sensible-editor", "nano", "vim", "vi", "notepad.exe")
_PAGERS = ("less", "more")


def edit_in(app: App[object], environ: Mapping[str, str], text: str) -> str | None:
    """The text as the person's editor left it; None when nothing came of it, which the person has been told."""
    return _outside(app, "Editor", lambda: edit_text(editor_command(environ), text))


def page_in(app: App[object], environ: Mapping[str, str], text: str) -> None:
    """Show a text in the person's pager."""
    _outside(app, "Pager", lambda: page_text(pager_command(environ), text))


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """`$VISUAL`, `$EDITOR`, or the first usual editor that is installed. Raises ConfigError when there is none."""
    return _command(environ, ("VISUAL", "EDITOR"), _EDITORS)


def pager_command(environ: Mapping[str, str]) -> list[str]:
    """`$PAGER`, or the first usual pager that is installed. Raises ConfigError when there is none."""
    return _command(environ, ("PAGER",), _PAGERS)


def edit_text(command: list[str], text: str) -> str:
    """Let the editor change a text and return what it left; blocking. Raises ConfigError if it failed.

    The file is readable by its owner alone, as prompts may be private, and gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="llm-workbench-") as directory:
        path = Path(directory) / "prompt.md"
        path.write_text(text, encoding="utf-8")
        _run([*command, str(path)])
        edited = path.read_text(encoding="utf-8")
    # Editors end a file with a newline that nobody typed.
    return edited if text.endswith("\n") else edited.removesuffix("\n")


def page_text(command: list[str], text: str) -> None:
    """Show a text in the pager; blocking. Raises ConfigError if it failed."""
    with tempfile.TemporaryDirectory(prefix="llm-workbench-") as directory:
        path = Path(directory) / "answer.md"
        path.write_text(text, encoding="utf-8")
        _run([*command, str(path)])


def _command(environ: Mapping[str, str], variables: tuple[str, ...], usual: tuple[str, ...]) -> list[str]:
    for variable in variables:
        if value := environ.get(variable, "").strip():
            return shlex.split(value, posix=os.name == "posix")
    for name in usual:
        if found := shutil.which(name):
            return [found]
    raise ConfigError(f"No program was found for this: set {' or '.join(variables)}.")


def _run(command: list[str]) -> None:
    try:
        # The command is the person's own choice of program, run as they would run it.
        subprocess.run(command, check=True)  # noqa: S603
    except OSError as error:
        raise ConfigError(f"{command[0]} could not be started: {error.strerror}.") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"{command[0]} ended with exit code {error.returncode}; nothing was changed.") from error


def _outside(app: App[object], what: str, run: Callable[[], str | None]) -> str | None:
    try:
        with app.suspend():
            return run()
    except SuspendNotSupported:
        app.notify("This terminal cannot be handed over to another program.", title=what, severity="warning")
    except ConfigError as error:
        app.notify(str(error), title=f"{what} failed", severity="error", markup=False)
    finally:
        app.refresh()
    return None

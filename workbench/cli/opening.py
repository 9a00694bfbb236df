"""Opening the workbench in this terminal. Knows nothing of click, so that the bare command need not import it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from workbench.cli.invocation import Invocation
from workbench.cli.prompt_input import whole_prompt
from workbench.core.heap import rest_collector


def open_workbench(
    invoked: Invocation,
    *,
    prompt: Sequence[str] = (),
    models: Sequence[str] = (),
    theme: str | None = None,
    demo: bool = False,
    day: str | None = None,
) -> int:
    """Run the app until it is left; its exit code. Raises ConfigError, and UsageError without a terminal.

    `day` is what a demo's providers are having, the usual one where it is None.
    """
    # Settings before anything else: a broken file is reported here, in plain text, and nothing is half-configured.
    settings = invoked.settings()
    _require(sys.stdout.isatty(), "The workbench needs a terminal.")
    text = whole_prompt(prompt)
    _listen_to_the_terminal()
    rest_collector()
    from workbench.tui.app import WorkbenchApp

    app = WorkbenchApp(settings, environ=invoked.environ, prompt=text, models=models, theme=theme, demo=demo, day=day)
    app.run()
    return app.return_code or 0


def open_default_workbench(*, demo: bool) -> int:
    return open_workbench(Invocation(os.environ), demo=demo)


def _listen_to_the_terminal() -> None:
    """Keys come from standard input; where that was a pipe, put the terminal in its place."""
    if sys.stdin is not None and sys.stdin.isatty():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        _require(False, "There is no terminal to read keys from.")
        return
    os.dup2(terminal, 0)
    os.close(terminal)


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        from workbench.core.errors import UsageError

        raise UsageError(complaint, hint="In a script use: llm-workbench run -m MODEL PROMPT")

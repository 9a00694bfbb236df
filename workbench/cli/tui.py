"""`llm-workbench`, with no command: the workbench in the terminal."""

from __future__ import annotations

import os
import sys

import click

from workbench.cli.options import config_option, demo_option, invocation, models_option, whole_prompt


@click.command("tui")
@click.argument("prompt", nargs=-1)
@models_option
@click.option("--theme", metavar="NAME", help="Colour theme; `llm-workbench themes` lists them.")
@demo_option
@config_option
@click.pass_context
def command(
    ctx: click.Context, prompt: tuple[str, ...], models: tuple[str, ...], theme: str | None, demo: bool
) -> None:
    """Open the workbench, with a prompt already in the editor if one is given here or piped in."""
    if not sys.stdout.isatty():
        raise click.UsageError(
            "The workbench needs a terminal. In a script use: llm-workbench run -m MODEL PROMPT", ctx
        )
    invoked = invocation(ctx)
    # Settings before anything else: a broken file is reported here, in plain text, and nothing is half-configured.
    settings = invoked.settings()
    text = whole_prompt(prompt)
    _listen_to_the_terminal(ctx)
    from workbench.tui.app import WorkbenchApp

    app = WorkbenchApp(settings, environ=invoked.environ, prompt=text, models=models, theme=theme, demo=demo)
    app.run()
    ctx.exit(app.return_code or 0)


def _listen_to_the_terminal(ctx: click.Context) -> None:
    """Keys come from standard input; where that was a pipe, put the terminal in its place."""
    if sys.stdin is not None and sys.stdin.isatty():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as exc:
        raise click.UsageError("There is no terminal to read keys from.", ctx) from exc
    os.dup2(terminal, 0)
    os.close(terminal)

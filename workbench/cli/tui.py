"""`llm-workbench`, with no command: the workbench in the terminal."""

from __future__ import annotations

import click

from workbench.cli.opening import open_workbench
from workbench.cli.options import config_option, day_option, demo_option, invocation, metrics_option, models_option


@click.command("tui")
@click.argument("prompt", nargs=-1)
@models_option
@click.option("--theme", metavar="NAME", help="Colour theme; `llm-workbench themes` lists them.")
@demo_option
@day_option
@metrics_option
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    prompt: tuple[str, ...],
    models: tuple[str, ...],
    theme: str | None,
    demo: bool,
    day: str | None,
) -> None:
    """Open the workbench, with a prompt already in the editor if one is given here or piped in."""
    if day is not None and not demo:
        raise click.UsageError("--profile is about simulated providers: add --demo.", ctx)
    ctx.exit(open_workbench(invocation(ctx), prompt=prompt, models=models, theme=theme, demo=demo, day=day))

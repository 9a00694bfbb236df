"""`llm-workbench themes`: the colour themes that there are, and where one's own go."""

from __future__ import annotations

import click

from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns


@click.command("themes")
@config_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """List colour themes: the workbench's own, yours, and Textual's."""
    from textual.theme import BUILTIN_THEMES

    from workbench.tui.theming import load_themes, shipped_themes

    own = invocation(ctx).paths().themes
    shipped, _ = load_themes([shipped_themes()])
    personal, problems = load_themes([own])
    rows = [
        *((theme.name, _kind(theme.dark), "workbench") for theme in shipped),
        *((theme.name, _kind(theme.dark), str(own)) for theme in personal),
        *((theme.name, _kind(theme.dark), "textual") for theme in BUILTIN_THEMES.values()),
    ]
    click.echo(columns([("NAME", "KIND", "FROM"), *rows]))
    for problem in problems:
        click.echo(f"! {problem}", err=True)
    if not personal:
        click.echo(f"\nYour own go to {own}/NAME.toml.")


def _kind(dark: bool) -> str:
    return "dark" if dark else "light"

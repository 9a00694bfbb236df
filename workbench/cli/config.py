"""`llm-workbench config path|show|edit`: where the settings are, what holds in the end, and changing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
import msgspec

from workbench.cli.lazy import HelpfulGroup
from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns
from workbench.core.paths import private_directory
from workbench.core.settings import GLOBAL_CONCURRENCY_VARIABLE, Settings, load_settings, settings_file
from workbench.core.toml import dotted, line_of
from workbench.providers.configured import configured_rows

THEME_VARIABLE = "TEXTUAL_THEME"
"""Textual's own."""

TEMPLATE = """\
# Settings of llm-workbench. Every key is optional; a slip is reported with its line. `llm-workbench config show` tells
# what holds in the end.

# default_lineup = "daily"

# [lineups]
# daily = ["gpt-5.4", "anthropic/claude-sonnet-5", "gemini/gemini-3.5-flash"]

# [aliases]
# fast = "gpt-5.4-mini | gemini/gemini-3.5-flash"

# [providers.lab]                      # a host of your own that speaks OpenAI's language: lab/MODEL
# base_url = "http://10.0.0.4:8000/v1"
# prices = "free"

# [providers.openai]
# transport = "aiohttp"                # or http1, http2

# [limits]
# max_concurrent = 32
# max_cost_usd = 5.0                   # a session of the app pauses there and asks

# [ui]
# theme = "workbench-light"
# send_key = "chat"                    # Enter sends; "editor": Enter makes a new line

# [defaults]
# system = "Answer briefly."
# params = { temperature = 0.2 }
"""


@click.group("config", cls=HelpfulGroup)
def command() -> None:
    """Show where the settings are and what holds, or edit them."""


@command.command("path")
@config_option
@click.pass_context
def path_command(ctx: click.Context) -> None:
    """Print the settings file's path, whether it exists or not."""
    invoked = invocation(ctx)
    click.echo(settings_file(invoked.config, invoked.environ))


@command.command("show")
@click.option("--all", "everything", is_flag=True, help="Also what is left at its default.")
@config_option
@click.pass_context
def show_command(ctx: click.Context, everything: bool) -> None:
    """Print the settings that hold, and where each comes from; keys and headers hidden."""
    invoked = invocation(ctx)
    settings = invoked.settings()
    rows = [row for row in _effective(settings, invoked.environ) if everything or row[2] != "default"]
    file = settings_file(invoked.config, invoked.environ)
    click.echo(f"{file}{'' if settings.source else '  (not there; defaults hold)'}")
    if rows:
        click.echo(f"\n{columns(rows)}")
    elif not everything:
        click.echo("\nNothing differs from the defaults; --all shows them.")


@command.command("edit")
@config_option
@click.pass_context
def edit_command(ctx: click.Context) -> None:
    """Open the settings file in $VISUAL or $EDITOR, then check it. A new one starts with commented examples."""
    invoked = invocation(ctx)
    file = settings_file(invoked.config, invoked.environ)
    if not file.exists():
        private_directory(file.parent)
        # Keys may come to stand in it.
        file.touch(mode=0o600)
        file.write_text(TEMPLATE, encoding="utf-8")
    click.edit(filename=str(file))
    configured_rows(load_settings(file, invoked.environ), invoked.environ)
    click.echo(f"{file} is fine.")


def _effective(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(key, value, where it comes from), in the order of the file's description; the environment's word at the end."""
    overridden = {key: (value, variable) for key, value, variable in _from_environment(settings, environ)}
    for key, value in _leaves(settings, ()):
        if key not in overridden:
            yield dotted(key), _shown(key, value), _origin(settings, key)
    for key, (value, variable) in overridden.items():
        yield dotted(key), value, variable


def _from_environment(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if environ.get(GLOBAL_CONCURRENCY_VARIABLE):
        yield ("limits", "global_concurrency"), str(settings.limits.global_concurrency), GLOBAL_CONCURRENCY_VARIABLE
    if settings.ui.theme is None and environ.get(THEME_VARIABLE):
        yield ("ui", "theme"), environ[THEME_VARIABLE], THEME_VARIABLE
    for row in configured_rows(settings, environ):
        variable = next((name for name in row.base_url_variables if environ.get(name, "").strip()), None)
        if variable is not None:
            yield ("providers", row.name, "base_url"), row.base_url, variable


def _leaves(value: object, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            if key or field.name != "source":
                yield from _leaves(getattr(value, field.name), (*key, field.name))
    elif isinstance(value, dict) and value and (key or ("",))[-1] not in ("headers", "params", "keymap"):
        for name, item in value.items():
            yield from _leaves(item, (*key, name))
    else:
        yield key, value


def _origin(settings: Settings, key: tuple[str, ...]) -> str:
    if settings.source is None:
        return "default"
    line = line_of(settings.source.text, key)
    return "default" if line is None else f"{settings.source.path.name}:{line}"


def _shown(key: tuple[str, ...], value: object) -> str:
    match value:
        case _ if key[-1] == "keys" and value:
            return "(hidden)"
        case dict() if key[-1] == "headers" and value:
            return ", ".join(f"{name}: (hidden)" for name in value)
        case None:
            return "-"
        case tuple() | list():
            return ", ".join(map(str, value)) or "-"
        case bool():
            return str(value).lower()
        case dict():
            return ", ".join(f"{name}={item!r}" for name, item in value.items()) or "-"
        case _:
            return str(value) or "-"

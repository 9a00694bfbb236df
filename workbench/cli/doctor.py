"""`llm-workbench doctor`: what is installed, what holds, what can be reached, what the terminal can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from itertools import groupby

import click

from workbench.cli import checks
from workbench.cli.accounts import Account, accounts
from workbench.cli.checks import Check, Level
from workbench.cli.invocation import Invocation
from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns
from workbench.core.errors import ConfigError
from workbench.core.redact import redact
from workbench.core.settings import Settings, settings_file
from workbench.providers.http import Connections


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Leave out everything that needs a connection.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per check and line.")
@config_option
@click.pass_context
def command(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Check versions, settings, directories, providers, local servers and the terminal.

    Connections are opened, nothing is asked: it costs nothing. Exit code 1 when a check failed.
    """
    found = list(_examine(invocation(ctx), offline=offline))
    if as_json:
        for check in found:
            click.echo(redact(json.dumps(asdict(check), ensure_ascii=False)))
    else:
        for number, (subject, group) in enumerate(groupby(found, key=lambda check: check.subject)):
            click.echo(f"{'' if number == 0 else chr(10)}{subject.capitalize()}")
            click.echo(redact(columns([_row(check) for check in group], indent=2)))
    ctx.exit(1 if any(check.level is Level.FAILURE for check in found) else 0)


def _row(check: Check) -> tuple[str, str, str]:
    return check.level, check.name, f"{check.detail}{f'  → {check.hint}' if check.hint else ''}"


def _examine(invoked: Invocation, *, offline: bool) -> Iterator[Check]:
    yield from checks.versions()
    settings: Settings | None = None
    error: ConfigError | None = None
    try:
        settings = invoked.settings()
        found = accounts(settings, invoked.environ)
    except ConfigError as exc:
        settings, error, found = None, exc, []
    yield checks.settings_file_check(settings_file(invoked.config, invoked.environ), settings, error)
    yield from checks.directories(invoked.paths())
    if settings is not None and not offline:
        yield from asyncio.run(_online(found, invoked.environ))
    yield from checks.terminal(invoked.environ)


async def _online(found: list[Account], environ: Mapping[str, str]) -> list[Check]:
    in_use = next((account.row.base_url for account in found if account.row.name == "local"), "")
    async with aclosing(Connections(environ)) as connections:
        checked = [check async for check in checks.providers(found, connections)]
        return checked + [check async for check in checks.local_servers(connections, in_use)]

"""`llm-workbench keys`: which keys there are, where each came from, and how it stands. Never a key itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from workbench.cli.accounts import Account, accounts
from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns

if TYPE_CHECKING:
    from workbench.engine.keyring import Key
    from workbench.engine.live_keys import LiveKey, LiveLane, LiveProcess

_LOOK_EVERY_S = 1.0
_SCREENFUL = 30
"""Rows of one process, above which idle ones are only counted."""


@click.command("keys")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per key and line.")
@config_option
@click.pass_context
def command(ctx: click.Context, watch: bool, as_json: bool) -> None:
    """List the keys that were found, by alias and source, and what could be set for the others.

    What runs now, the workbench or a run, tells of each key it uses: calls in flight, what the last minute used of each
    limit, until when it is cooling, and why. So does a demo of its own keys. The fingerprint tells two keys apart
    without giving either away.
    """
    # Imported here, since `--help` has no use for them.
    from msgspec.structs import replace

    from workbench.demo import running_demos
    from workbench.engine.live_keys import live_processes

    invoked = invocation(ctx)
    found = accounts(invoked.settings(), invoked.environ)
    running = invoked.paths().running
    while True:
        live = list(live_processes(running))
        for demo in running_demos():
            live += [replace(process, program=f"{process.program} --demo") for process in live_processes(demo.running)]
        if as_json:
            for line in _json_lines(found, live):
                click.echo(line)
        else:
            if watch:
                click.clear()
            # Whoever watches wants to see what changes, on one screen.
            click.echo(_listing(found, live) if watch else f"{_listing(found, live)}{_missing(found)}")
        if not watch:
            return
        time.sleep(_LOOK_EVERY_S)


def _json_lines(found: Sequence[Account], live: Sequence[LiveProcess]) -> Iterator[str]:
    """The keys that were found here, and those that only a running process has, such as a demo's."""
    import msgspec

    in_use: dict[str, list[dict[str, object]]] = {}
    elsewhere: dict[str, LiveKey] = {}
    for process in live:
        for seen in process.keys:
            line = {"pid": process.pid, "program": process.program, **msgspec.to_builtins(seen)}
            in_use.setdefault(seen.fingerprint, []).append(line)
            elsewhere.setdefault(seen.fingerprint, seen)
    for account in found:
        for key in account.keyring.keys:
            elsewhere.pop(key.fingerprint, None)
            yield _json_line(key, account.row.name, key.account or None, in_use.get(key.fingerprint, []))
    for seen in elsewhere.values():
        yield _json_line(seen, seen.provider, None, in_use[seen.fingerprint])


def _json_line(key: Key | LiveKey, provider: str, account: str | None, live: list[dict[str, object]]) -> str:
    return json.dumps(
        {
            "alias": key.alias,
            "provider": provider,
            "source": key.source,
            "fingerprint": key.fingerprint,
            "account": account,
            "live": live,
        }
    )


def _listing(found: Sequence[Account], live: Sequence[LiveProcess]) -> str:
    rows = [("ALIAS", "FOUND IN", "FINGERPRINT", "ACCOUNT")]
    rows += [
        (key.alias, key.source, key.fingerprint, key.account or "its own")
        for account in found
        for key in account.keyring.keys
    ]
    parts = [columns(rows)] if len(rows) > 1 else ["No keys were found."]
    if notes := [note for account in found for note in account.keyring.notes]:
        parts.append("\n".join(notes))
    parts += [_in_use(process) for process in live if process.keys]
    return "\n\n".join(parts)


def _missing(found: Sequence[Account]) -> str:
    without = [account for account in found if not account.can_be_asked]
    variables = [(account.row.title or account.row.name, account.row.key_variables[0]) for account in without]
    return f"\n\nWithout a key, and the variable to set:\n{columns(variables, indent=2)}" if variables else ""


def _in_use(process: LiveProcess) -> str:
    rows: list[tuple[str, ...]] = [("ALIAS", "MODEL", "STATE", "IN FLIGHT", "WAIT", "USED IN THE LAST MINUTE", "WHY")]
    seen = [(key, lane) for key in process.keys for lane in key.lanes]
    shown = seen if len(seen) <= _SCREENFUL else [pair for pair in seen if not _idle(*pair)]
    rows += [_row(key, lane) for key, lane in shown]
    table = columns(rows, right=frozenset({3, 4}), indent=2)
    others = f"\n  and {len(seen) - len(shown):,} more, idle" if len(shown) < len(seen) else ""
    return f"In use by {process.program}, process {process.pid}:\n{table}{others}"


def _idle(key: LiveKey, lane: LiveLane) -> bool:
    used = lane.in_flight or lane.waiting or any(limit.used for limit in lane.limits)
    return key.condition == "ready" and lane.cooling_s is None and not used


def _row(key: LiveKey, lane: LiveLane) -> tuple[str, ...]:
    from workbench.session import figures

    state, why = lane.state, lane.why
    if key.condition == "retired":
        state, why = key.condition, key.why
    elif lane.cooling_s is not None:
        until = datetime.now().astimezone() + timedelta(seconds=lane.cooling_s)
        state = f"{lane.state} until {until:%H:%M:%S}"
    elif lane.reason:
        why = lane.reason if lane.next_s is None else f"{lane.reason}, the next goes in {lane.next_s:.0f} s"
    used = [
        f"{figures.units(limit.used)} of {'~' if limit.learned else ''}{figures.units(limit.per_minute)} {limit.kind}"
        for limit in lane.limits
    ]
    model = lane.name.partition(" · ")[2]
    return (
        key.alias,
        model,
        state,
        f"{lane.in_flight}/{lane.window}",
        str(lane.waiting) if lane.waiting else "",
        ", ".join(used) or "—",
        why,
    )

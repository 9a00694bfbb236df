"""What `doctor` looks at, one function per subject; each returns values, so that a test can read them."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from workbench import __version__
from workbench.cli.accounts import Account
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.providers.base import Transport
from workbench.providers.catalog import BUILT_IN
from workbench.providers.discovery import CANDIDATES, Candidate, discover
from workbench.providers.http import Connections
from workbench.providers.transport_errors import Place, translated

PACKAGES = ("textual", "httpx", "openai", "google-genai", "litellm", "diskcache", "msgspec")
REACH_TIMEOUT_S = 6.0
SMALLEST_SCREEN = (80, 24)


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; good to know."""
    WARNING = "warn"
    FAILURE = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    subject: str
    level: Level
    name: str
    detail: str
    hint: str = ""
    """What to do about it."""


def versions() -> Iterator[Check]:
    yield Check("versions", Level.OK, "llm-workbench", __version__)
    yield Check(
        "versions", Level.OK, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    for name in PACKAGES:
        try:
            yield Check("versions", Level.OK, name, version(name))
        except PackageNotFoundError:
            yield Check("versions", Level.FAILURE, name, "not installed", "Install the workbench again with pip.")


def settings_file_check(file: Path, settings: Settings | None, error: ConfigError | None) -> Check:
    """`settings` as they were read, or None with the error that kept them from being read."""
    if settings is None:
        return Check(
            "settings", Level.FAILURE, "settings", *(("", "") if error is None else (error.message, error.hint))
        )
    if settings.source is None:
        return Check("settings", Level.OK, "settings", f"{file} is not there; the defaults hold")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077 and any(row.secrets for row in settings.providers.values()):
        return Check(
            "settings", Level.WARNING, "settings", f"{file} holds keys and others may read it", f"chmod 600 {file}"
        )
    return Check("settings", Level.OK, "settings", str(file))


def directories(paths: Paths) -> Iterator[Check]:
    for name, path in (("config", paths.config), ("cache", paths.cache), ("state", paths.state), ("data", paths.data)):
        if path.is_dir():
            mode = stat.S_IMODE(path.stat().st_mode)
            if not os.access(path, os.W_OK):
                yield Check("directories", Level.FAILURE, name, f"{path} cannot be written to", f"chmod u+w {path}")
            elif mode & 0o077:
                yield Check(
                    "directories", Level.WARNING, name, f"{path} is open to others ({mode:04o})", f"chmod 700 {path}"
                )
            else:
                yield Check("directories", Level.OK, name, str(path))
            continue
        above = next((parent for parent in path.parents if parent.exists()), Path("/"))
        if path.exists() or not above.is_dir() or not os.access(above, os.W_OK):
            yield Check("directories", Level.FAILURE, name, f"{path} cannot be made", f"Look at {above}.")
        else:
            yield Check("directories", Level.OK, name, f"{path}, made when it is needed")


async def providers(found: list[Account], connections: Connections) -> AsyncIterator[Check]:
    """Connect to every provider that is set up, all at once; nothing is sent that would be counted or billed."""
    asked = [account for account in found if account.row.base_url and _is_set_up(account)]
    for check in await asyncio.gather(*(_reach(account, connections) for account in asked)):
        yield check
    for account in found:
        if account.keyring.keys and not account.row.base_url:
            yield Check("providers", Level.OK, account.row.name, f"{_keys(account)}; litellm knows the address")
        for note in account.keyring.notes:
            yield Check("providers", Level.WARNING, account.row.name, note)
    if not any(account.keyring.keys for account in found):
        yield Check(
            "providers",
            Level.NOTE,
            "keys",
            "none found",
            "`llm-workbench keys` names the variables; `llm-workbench --demo` needs none.",
        )


def _is_set_up(account: Account) -> bool:
    """It has a key, or it needs none and somebody has said where it is."""
    row = account.row
    return bool(account.keyring.keys) or (
        not row.needs_key and all(row.base_url != known.base_url for known in BUILT_IN)
    )


async def local_servers(
    connections: Connections, in_use: str, candidates: Iterable[Candidate] = CANDIDATES
) -> AsyncIterator[Check]:
    """What listens on the usual ports; `in_use` is where `local/…` goes now."""
    servers = await discover(connections, candidates)
    for server in servers:
        if server.problem:
            yield Check("local servers", Level.WARNING, server.kind, f"{server.base_url}: {server.problem}")
            continue
        names = ", ".join(model.name for model in server.models[:3])
        more = f" and {len(server.models) - 3} more" if len(server.models) > 3 else ""
        # 127.0.0.1 and localhost are the same place.
        is_used = server.base_url == in_use.replace("//localhost:", "//127.0.0.1:")
        yield Check(
            "local servers",
            Level.OK,
            server.kind,
            f"{server.base_url}: {names}{more}",
            "" if is_used else f"LOCAL_BASE_URL={server.base_url} makes them local/MODEL.",
        )
    if not servers:
        yield Check("local servers", Level.NOTE, "none", "nothing answers on the usual ports")


async def _reach(account: Account, connections: Connections) -> Check:
    row = account.row
    started_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(REACH_TIMEOUT_S):
            with translated(Place(row.title or row.name, row.base_url)):
                # httpx's own pool, behind HTTP/1.1 rows, cannot connect without asking something.
                await connections.prewarm(replace(row, transport=Transport.AIOHTTP))
    except TimeoutError:
        return Check(
            "providers", Level.FAILURE, row.name, f"{row.base_url} did not answer within {REACH_TIMEOUT_S:g} s"
        )
    except WorkbenchError as error:
        return Check("providers", Level.FAILURE, row.name, error.message, error.hint)
    took_s = (time.monotonic_ns() - started_ns) / 1e9
    return Check("providers", Level.OK, row.name, f"{row.base_url} reached in {took_s:.2f} s; {_keys(account)}")


def _keys(account: Account) -> str:
    count = len(account.keyring.keys)
    if count == 0:
        return "needs no key"
    return "1 key" if count == 1 else f"{count} keys"


def terminal(environ: Mapping[str, str]) -> Iterator[Check]:
    columns, lines = shutil.get_terminal_size()
    if not sys.stdout.isatty():
        yield Check("terminal", Level.NOTE, "output", "not a terminal; sizes and colours cannot be told")
    elif (columns, lines) < SMALLEST_SCREEN or lines < SMALLEST_SCREEN[1]:
        yield Check("terminal", Level.WARNING, "size", f"{columns} × {lines}", "The workbench wants 80 × 24 at least.")
    else:
        panes = max(1, columns // 46)
        yield Check("terminal", Level.OK, "size", f"{columns} × {lines}, room for {panes} panes side by side")
    yield _colours(environ)
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if encoding == "utf8":
        yield Check("terminal", Level.OK, "unicode", "UTF-8")
    else:
        yield Check(
            "terminal", Level.WARNING, "unicode", f"output is {encoding or 'unknown'}", "Set LANG to a UTF-8 one."
        )
    if environ.get("TMUX"):
        yield Check(
            "terminal",
            Level.NOTE,
            "tmux",
            "inside tmux",
            "If Esc is slow: set -sg escape-time 10. For copying: set -g set-clipboard on.",
        )


def _colours(environ: Mapping[str, str]) -> Check:
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR"):
        return Check("terminal", Level.NOTE, "colours", "none, as NO_COLOR asks")
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return Check("terminal", Level.OK, "colours", "16.7 million")
    if term in ("", "dumb"):
        return Check("terminal", Level.WARNING, "colours", f"TERM is {term or 'not set'}", "Try TERM=xterm-256color.")
    many = "256" if "256color" in term else "16"
    return Check("terminal", Level.NOTE, "colours", f"{many} (TERM={term})", "COLORTERM=truecolor if it can do more.")

"""What several commands share: the settings file, the demo switch, models, parameters, and the prompt."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.settings import Settings
    from workbench.core.types import Json

CommandT = TypeVar("CommandT", bound=Callable[..., object])

SILENT_PIPE_S = 1.0
"""How long standard input is waited for when a prompt stands on the command line as well."""


@dataclass(slots=True)
class Invocation:
    """What holds for this run of the program, whichever command it is."""

    environ: Mapping[str, str]
    config: Path | None = None

    def settings(self) -> Settings:
        """Raises ConfigError."""
        # msgspec costs 40 ms, which `--help` has no use for; the same holds for the imports below.
        from workbench.core.settings import load_settings

        return load_settings(self.config, self.environ)

    def paths(self) -> Paths:
        from workbench.core.paths import Paths

        return Paths.from_environment(self.environ)


def invocation(ctx: click.Context) -> Invocation:
    found = ctx.find_object(Invocation)
    if found is None:
        found = ctx.obj = Invocation(os.environ)
    return found


def config_option(command: CommandT) -> CommandT:
    """`--config`, before or after the command's name."""

    def remember(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            invocation(ctx).config = value

    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=remember,
        help="Settings file to use instead of the usual one.",
    )(command)


def demo_option(command: CommandT) -> CommandT:
    return click.option(
        "--demo", is_flag=True, help="Ask simulated providers on this machine: no key, no network, no cost."
    )(command)


def models_option(command: CommandT) -> CommandT:
    return click.option(
        "-m",
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Model to ask: gpt-5.4, anthropic/…, gemini/…, local/…; repeat for several, a|b for a fallback.",
    )(command)


def parse_params(pairs: Sequence[str]) -> dict[str, Json]:
    """`key=value` pairs; a value that is JSON counts as such, anything else is text."""
    import json

    values: dict[str, Json] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"expected key=value, got {pair!r}", param_hint="-p")
        try:
            values[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            values[name.strip()] = value
    return values


def whole_prompt(parts: Sequence[str]) -> str:
    """The prompt's parts and standard input, joined by blank lines; each `-` is where standard input goes.

    Without a `-` a pipe is appended. One that stays silent for a second is not waited for, and that is said: a program
    started by another one often inherits a pipe to which nobody will ever write.
    """
    if "-" in parts:
        text = sys.stdin.read()
        return _joined([text if part == "-" else part for part in parts])
    if not parts:
        return "" if _is_terminal() else sys.stdin.read().strip()
    return _joined([*parts, _piped()])


def _piped() -> str:
    if _is_terminal() or sys.stdin is None:
        return ""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        # Not a file at all: put there by whoever calls us from Python.
        return sys.stdin.read()
    if stat.S_ISREG(mode):
        return sys.stdin.read()
    if not stat.S_ISFIFO(mode):
        return ""
    if not select.select([sys.stdin], [], [], SILENT_PIPE_S)[0]:
        click.echo("Standard input stayed silent and was left out; write - in the prompt to wait for it.", err=True)
        return ""
    return sys.stdin.read()


def _is_terminal() -> bool:
    return sys.stdin is None or sys.stdin.isatty()


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())

"""What several commands share: the settings file, the demo switch, models and parameters."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workbench.cli.invocation import Invocation

if TYPE_CHECKING:
    from workbench.core.types import Json

CommandT = TypeVar("CommandT", bound=Callable[..., object])


class FiniteRange(click.FloatRange):
    """A range in which neither `nan` nor `inf` lies: a cap of NaN dollars would never be reached."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


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


def metrics_option(command: CommandT) -> CommandT:
    """`--metrics`: this run's telemetry, whatever the settings say."""

    def remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            from workbench.core.settings import METRICS_VARIABLE
            from workbench.engine.metrics_endpoint import parse_address

            parse_address(value)  # said here and now, not when something is asked
            found = invocation(ctx)
            found.environ = {**found.environ, METRICS_VARIABLE: value}

    return click.option(
        "--metrics",
        metavar="HOST:PORT",
        expose_value=False,
        callback=remember,
        help="Serve Prometheus metrics there while it runs, as 127.0.0.1:9464.",
    )(command)


def demo_option(command: CommandT) -> CommandT:
    return click.option(
        "--demo", is_flag=True, help="Ask simulated providers on this machine: no key, no network, no cost."
    )(command)


def day_option(command: CommandT) -> CommandT:
    """`--profile` of a demo that somebody watches."""
    from workbench.cli.simulate import SLOW_DAYS

    return click.option(
        "--profile",
        "day",
        type=click.Choice(SLOW_DAYS),
        metavar="NAME",
        help=f"With --demo: a day on which answers are slow, for one reason ({', '.join(SLOW_DAYS)}).",
    )(command)


@dataclass(frozen=True, slots=True)
class DemoChoice:
    """Which demo is asked, in place of the providers."""

    day: str | None
    keys: int


def simulated_options(command: CommandT) -> CommandT:
    """`--profile` and `--keys` of a demo that a program runs; `demo_choice` reads them."""
    from workbench.cli.simulate import PROFILES

    for option in (
        click.option(
            "--keys",
            type=click.IntRange(1, 99),
            default=1,
            show_default=True,
            help="With --demo: keys of separate accounts, whose limits add up.",
        ),
        click.option(
            "--profile",
            "day",
            type=click.Choice(PROFILES),
            metavar="NAME",
            help="With --demo: what day the providers have, as `simulate --profile`; saturated has tight limits.",
        ),
    ):
        command = option(command)
    return command


def demo_choice(ctx: click.Context, demo: bool, day: str | None, keys: int) -> DemoChoice | None:
    """None without --demo. Raises UsageError for what means nothing then."""
    if demo:
        return DemoChoice(day, keys)
    if day is not None or keys > 1:
        raise click.UsageError(f"{'--profile' if day is not None else '--keys'} goes with --demo.", ctx)
    return None


def models_option(command: CommandT) -> CommandT:
    return click.option(
        "-m",
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Model to ask: gpt-5.4, anthropic/…, gemini/…, local/…; repeat for several, a|b for a fallback.",
    )(command)


def _no_number(name: str) -> float:
    """`NaN` and `Infinity`, which Python reads as JSON and nobody else does."""
    raise ValueError(name)


def parse_params(pairs: Sequence[str]) -> dict[str, Json]:
    """`key=value` pairs; a value that is JSON counts as such, anything else is text."""
    import json

    values: dict[str, Json] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"expected key=value, got {pair!r}", param_hint="-p")
        try:
            values[name.strip()] = json.loads(value, parse_constant=_no_number)
        except (ValueError, RecursionError):  # also thousands of digits, and of brackets
            values[name.strip()] = value
    return values

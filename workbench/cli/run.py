"""`llm-workbench run`: one prompt, one or many models, at once; text or JSON lines. With --input, a file of prompts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from workbench.cli.invocation import Invocation
from workbench.cli.options import (
    DemoChoice,
    FiniteRange,
    config_option,
    demo_choice,
    demo_option,
    invocation,
    metrics_option,
    models_option,
    parse_params,
    simulated_options,
)
from workbench.cli.prompt_input import whole_prompt
from workbench.cli.schema_option import read_schema, refuse_second_format, schema_option

if TYPE_CHECKING:
    from workbench.core.schema import OutputSchema
    from workbench.core.settings import Settings
    from workbench.core.types import CacheMode, Json, Request
    from workbench.demo import World


_FILE = click.Path(path_type=Path, dir_okay=False)

FILE_OPTIONS = ("output", "resume", "retry_failed", "skip_bad", "samples", "concurrency", "max_cost", "progress")
"""Names of the options that mean something with --input only."""


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option(
            "--input", "input_", type=_FILE, metavar="FILE", help="Ask every row of a .jsonl, .csv or .txt file."
        ),
        click.option("--output", type=_FILE, metavar="FILE", help="Results, one JSON object per line, as rows end."),
        click.option("--resume", is_flag=True, help="Go on with an --output that a crash or Ctrl-C left behind."),
        click.option("--retry-failed", is_flag=True, help="Like --resume, and ask failed rows again."),
        click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be read instead of stopping."),
        click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Answers to each row."),
        click.option("--concurrency", type=click.IntRange(1), help="In flight per model, at most."),
        click.option("--max-cost", type=FiniteRange(0), metavar="USD", help="Pause, or stop, when this is spent."),
        click.option(
            "--progress",
            type=click.Choice(["auto", "bar", "lines", "jsonl", "none"]),
            default="auto",
            show_default=True,
            help="How to show how far it is, on standard error.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("run")
@click.argument("prompt", nargs=-1)
@models_option
@click.option("--system", metavar="TEXT", help="System prompt.")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="temperature=0.2, max_tokens=100, …")
@schema_option
@click.option("--no-cache", is_flag=True, help="Neither look into the response cache nor write to it.")
@click.option(
    "--replay-speed",
    type=FiniteRange(0),
    default=0.0,
    help="Say a stored answer again at its own pace, times this; 0 at once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line, as each finishes.")
@click.option("--plain", is_flag=True, help="Text only; what happens without --json.")
@file_options
@demo_option
@simulated_options
@metrics_option
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    prompt: tuple[str, ...],
    models: tuple[str, ...],
    system: str | None,
    params: tuple[str, ...],
    schema: Path | None,
    no_cache: bool,
    replay_speed: float,
    as_json: bool,
    plain: bool,
    demo: bool,
    day: str | None,
    keys: int,
    **file: Any,
) -> None:
    """Ask one or many models and print what they answer.

    PROMPT may be piped in; `-` says where it goes. With one model the answer streams; with several, each is printed as
    it finishes. Exit code: 0 all answered, 1 some failed, 2 wrong usage.

    With --input every row of a JSONL, CSV or text file is asked and lands in --output as it ends. PROMPT is then a
    template with {{variables}} from the row; without one a row has its own "prompt" or "messages".

    With --schema an answer is JSON that fits it, or has failed; what --json and --output write has it as "object".
    """
    if as_json and plain:
        raise click.UsageError("--json and --plain exclude each other.", ctx)
    simulated = demo_choice(ctx, demo, day, keys)
    values = parse_params(params)
    held_to = None if schema is None else read_schema(schema)
    if file["input_"] is not None:
        ctx.exit(_run_file(ctx, file, prompt, models, system, values, held_to, cached=not no_cache, demo=simulated))
    _refuse_file_options(ctx)
    invoked = invocation(ctx)
    # What is wrong with the settings is said before anybody has to type or pipe a prompt.
    settings = invoked.settings()
    text = whole_prompt(prompt)
    if not text.strip():
        raise click.UsageError("The prompt is empty. Write one, or pipe it in.", ctx)
    from workbench.cli.answers import Output

    output = Output()

    async def ask() -> bool:
        async with _world(settings, invoked, simulated) as world:
            from workbench.core.types import CacheMode

            cache = CacheMode.OFF if no_cache else CacheMode.USE
            requests = _requests(world.settings, models, text, system, values, cache, replay_speed)
            if held_to is not None:
                refuse_second_format(requests[0].params)
            from workbench.cli.asking import ask_all, ask_for_object, ask_one
            from workbench.cli.recording import recording
            from workbench.engine.engine import Engine

            async with (
                Engine(world.settings, environ=world.environ, on_notice=output.notice) as engine,
                recording(world, requests[0].messages, requests[0].params) as history,
            ):
                if as_json or len(requests) > 1:
                    return await ask_all(engine, requests, output, history, held_to, as_json=as_json)
                if held_to is not None:
                    return await ask_for_object(engine, requests[0], output, history, held_to)
                return await ask_one(engine, requests[0], output, history)

    ctx.exit(0 if asyncio.run(ask()) else 1)


def _run_file(
    ctx: click.Context,
    file: Mapping[str, Any],
    prompt: Sequence[str],
    models: Sequence[str],
    system: str | None,
    values: dict[str, Json],
    schema: OutputSchema | None,
    *,
    cached: bool,
    demo: DemoChoice | None,
) -> int:
    """The exit code of a run over a file."""
    if file["output"] is None:
        raise click.UsageError("--input needs --output FILE, where each row goes as it ends.", ctx)
    from workbench.cli.sweep import SweepOptions, run_sweep, sweep_from
    from workbench.cli.sweep_progress import ProgressStyle
    from workbench.core.params import params_from

    invoked = invocation(ctx)
    settings = invoked.settings()

    async def ask() -> bool:
        async with _world(settings, invoked, demo) as world:
            choices = world.settings
            params = params_from({**choices.defaults.params, **values})
            if schema is not None:
                refuse_second_format(params)
            sweep = sweep_from(
                file["input_"],
                template=" ".join(prompt) or None,
                system=choices.defaults.system if system is None else system,
                params=params,
                models=tuple(models) or choices.lineups.get(choices.default_lineup or "", ()),
                samples=file["samples"],
                cached=cached,
                concurrency=file["concurrency"] or choices.limits.max_concurrent,
                schema=schema,
            )
            options = SweepOptions(
                output=file["output"],
                resume=file["resume"],
                retry_failed=file["retry_failed"],
                skip_bad=file["skip_bad"],
                max_cost_usd=file["max_cost"],
                progress=ProgressStyle(file["progress"]),
            )
            return await run_sweep(world, sweep, options)

    return 0 if asyncio.run(ask()) else 1


def _refuse_file_options(ctx: click.Context) -> None:
    for parameter in ctx.command.params:
        if parameter.name in FILE_OPTIONS and ctx.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{parameter.opts[0]} goes with --input.", ctx)


@asynccontextmanager
async def _world(settings: Settings, invoked: Invocation, demo: DemoChoice | None) -> AsyncIterator[World]:
    from workbench.demo import World
    from workbench.demo import demo as demo_world

    if demo is not None:
        async with demo_world(settings, demo.day, keys=demo.keys) as world:
            yield world
    else:
        yield World(settings, invoked.environ)


def _requests(
    settings: Settings,
    models: Sequence[str],
    text: str,
    system: str | None,
    values: dict[str, Json],
    cache: CacheMode,
    replay_speed: float,
) -> list[Request]:
    """One request per model; a model that is named twice gives two samples. Raises UsageError."""
    from workbench.core.errors import UsageError
    from workbench.core.params import params_from
    from workbench.core.types import Message, Request

    chosen = list(models) or list(settings.lineups.get(settings.default_lineup or "", ()))
    if not chosen:
        raise UsageError("No model was named.", hint="Add -m MODEL, set default_lineup in the settings, or try --demo.")
    instructions = settings.defaults.system if system is None else system
    messages = (*([Message.system(instructions)] if instructions else []), Message.user(text))
    params = params_from({**settings.defaults.params, **values})
    seen: Counter[str] = Counter()
    requests = []
    for model in chosen:
        if not model.strip():
            raise UsageError("A model name is empty.", hint="`llm-workbench models` lists some.")
        requests.append(
            Request(
                model=model,
                messages=messages,
                params=params,
                cache=cache,
                sample=seen[model],
                replay_speed=replay_speed,
            )
        )
        seen[model] += 1
    return requests

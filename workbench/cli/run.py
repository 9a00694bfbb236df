"""`llm-workbench run`: one prompt, one or many models, at once; text or JSON lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import click

from workbench.cli.options import (
    Invocation,
    config_option,
    demo_option,
    invocation,
    models_option,
    parse_params,
    whole_prompt,
)

if TYPE_CHECKING:
    from workbench.cli.answers import Answer, Output
    from workbench.core.settings import Settings
    from workbench.core.types import Json, Request
    from workbench.demo import World
    from workbench.engine.engine import Engine


@click.command("run")
@click.argument("prompt", nargs=-1)
@models_option
@click.option("--system", metavar="TEXT", help="System prompt.")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="temperature=0.2, max_tokens=100, …")
@click.option("--no-cache", is_flag=True, help="Neither look into the response cache nor write to it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line, as each finishes.")
@click.option("--plain", is_flag=True, help="Text only; what happens without --json.")
@demo_option
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    prompt: tuple[str, ...],
    models: tuple[str, ...],
    system: str | None,
    params: tuple[str, ...],
    no_cache: bool,
    as_json: bool,
    plain: bool,
    demo: bool,
) -> None:
    """Ask one or many models and print what they answer.

    PROMPT may be piped in; `-` says where it goes. With one model the answer streams; with several, each is printed as
    it finishes. Exit code: 0 all answered, 1 some failed, 2 wrong usage.
    """
    if as_json and plain:
        raise click.UsageError("--json and --plain exclude each other.", ctx)
    values = parse_params(params)
    invoked = invocation(ctx)
    # What is wrong with the settings is said before anybody has to type or pipe a prompt.
    settings = invoked.settings()
    text = whole_prompt(prompt)
    if not text.strip():
        raise click.UsageError("The prompt is empty. Write one, or pipe it in.", ctx)
    from workbench.cli.answers import Output

    output = Output()

    async def ask() -> bool:
        async with _world(settings, invoked, demo=demo) as world:
            requests = _requests(world.settings, models, text, system, values, cached=not no_cache)
            from workbench.engine.engine import Engine

            async with Engine(world.settings, environ=world.environ) as engine:
                if as_json or len(requests) > 1:
                    return await _ask_all(engine, requests, output, as_json=as_json)
                return await _ask_one(engine, requests[0], output)

    ctx.exit(0 if asyncio.run(ask()) else 1)


@asynccontextmanager
async def _world(settings: Settings, invoked: Invocation, *, demo: bool) -> AsyncIterator[World]:
    from workbench.demo import World
    from workbench.demo import demo as demo_world

    if demo:
        async with demo_world(settings) as world:
            yield world
    else:
        yield World(settings, invoked.environ)


def _requests(
    settings: Settings,
    models: Sequence[str],
    text: str,
    system: str | None,
    values: dict[str, Json],
    *,
    cached: bool,
) -> list[Request]:
    """One request per model; a model that is named twice gives two samples. Raises UsageError."""
    from workbench.core.errors import UsageError
    from workbench.core.params import params_from
    from workbench.core.types import CacheMode, Message, Request

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
                cache=CacheMode.USE if cached else CacheMode.OFF,
                sample=seen[model],
            )
        )
        seen[model] += 1
    return requests


async def _ask_one(engine: Engine, request: Request, output: Output) -> bool:
    """Stream the answer as it comes."""
    from workbench.cli.answers import Answer, error_line, figures_of
    from workbench.core.errors import WorkbenchError
    from workbench.core.events import Admitted, Delta, Failed, Finished, Queued, Retrying
    from workbench.core.types import Channel

    answer = Answer(request.model, None)
    try:
        async with aclosing(engine.stream(request)) as events:
            async for event in events:
                match event:
                    case Delta(channel=Channel.TEXT, text=text):
                        output.status("")
                        output.piece(text)
                    case Delta(channel=Channel.REASONING):
                        output.status("thinking …")
                    case Admitted():
                        output.status(f"waiting for {event.route.wire_model} …")
                    case Queued(reason=reason):
                        output.status(f"waiting: {reason} …")
                    case Retrying(error=error):
                        output.status(f"trying again after {error.title} …")
                    case Finished(result=result):
                        answer = Answer(request.model, result)
                    case Failed(error=error, partial=partial):
                        answer = Answer(request.model, partial, error)
                    case _:
                        pass
    except WorkbenchError as exc:
        answer = Answer(request.model, None, exc)
    finally:
        output.end()
    if answer.error is not None:
        output.note(error_line(answer))
        return False
    if answer.result is not None:
        for remark in answer.result.notes:
            output.footnote(remark)
        output.footnote(f"{request.model} · {figures_of(answer.result)}")
    return True


async def _ask_all(engine: Engine, requests: Sequence[Request], output: Output, *, as_json: bool) -> bool:
    """Ask at once, print each as it finishes."""
    show = output.json_line if as_json else output.whole
    left = len(requests)
    output.status(f"waiting for {left} answers …")
    all_answered = True
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_answer(engine, request)) for request in requests]
        for finished in asyncio.as_completed(tasks):
            answer = await finished
            left -= 1
            all_answered &= answer.error is None
            output.status("")
            # In a thread: a reader that is slow to take our output must not make the others' clocks late.
            await asyncio.to_thread(show, answer)
            output.status(f"waiting for {left} of {len(requests)} answers …" if left else "")
    return all_answered


async def _answer(engine: Engine, request: Request) -> Answer:
    from workbench.cli.answers import Answer
    from workbench.core.errors import WorkbenchError
    from workbench.core.events import Failed, Finished

    answer = Answer(request.model, None)
    try:
        async with aclosing(engine.stream(request)) as events:
            async for event in events:
                match event:
                    case Finished(result=result):
                        answer = Answer(request.model, result)
                    case Failed(error=error, partial=partial):
                        answer = Answer(request.model, partial, error)
                    case _:
                        pass
    except WorkbenchError as exc:
        answer = Answer(request.model, None, exc)
    return answer

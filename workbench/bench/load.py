"""`llm-workbench bench load`: how a model answers under load, measured as the monitor measures it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from workbench.bench.interruption import Interruption
from workbench.bench.load_drive import Arrivals, Bookkeeper, Level, LoadDriver
from workbench.bench.load_plan import Ask, Duration, Goal, Load, asks_of_file, asks_of_lengths, loads_of, parse_goal
from workbench.bench.load_progress import LoadProgress
from workbench.bench.load_report import LoadReport, remarks, table, write_report
from workbench.bench.load_summary import LevelSummary, summarize
from workbench.bench.load_sweep import next_load
from workbench.bench.report import environment, environment_facts
from workbench.cli.options import (
    FiniteRange,
    config_option,
    demo_option,
    invocation,
    metrics_option,
    models_option,
    parse_params,
)
from workbench.cli.simulate import PROFILES
from workbench.core.clock import NS_PER_S, SystemClock
from workbench.core.errors import UsageError
from workbench.core.heap import settle_heap
from workbench.core.settings import CacheSettings, LaneLimits, LimitSettings, Settings
from workbench.demo import USUAL_DAY, World
from workbench.demo import demo as demo_world
from workbench.engine.engine import Engine
from workbench.engine.record_lines import record_line
from workbench.engine.records import Population
from workbench.providers.base import ProviderSpec

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_WARM_CONNECTIONS = 64
"""As many are opened before a level begins; set-up is a figure of its own and not a part of TTFT."""
_OPEN_LOOP_WINDOW = 1024


@dataclass(slots=True)
class LoadTest:
    """What was asked for, and what has been measured so far: an interrupted test reports what it has."""

    models: tuple[str, ...]
    loads: tuple[Load, ...]
    """Empty for a sweep."""
    duration: Duration
    goal: Goal
    warm_up: int | None
    most: int
    output: Path | None
    environment: dict[str, object] = field(default_factory=environment_facts)
    levels: list[Level] = field(default_factory=list)
    summaries: list[LevelSummary] = field(default_factory=list)

    @property
    def is_sweep(self) -> bool:
        return not self.loads

    @property
    def window(self) -> int:
        """In flight at most, over all levels."""
        if self.is_sweep:
            return self.most
        return max(load.concurrency or _OPEN_LOOP_WINDOW for load in self.loads)

    def loads_for(self, model: str) -> Iterator[Load]:
        """The levels of one model; in a sweep each depends on what the earlier ones came to."""
        if not self.is_sweep:
            yield from self.loads
            return
        while load := next_load([one for one in self.summaries if one.model == model], self.most):
            yield load

    def finish(self, level: Level) -> LevelSummary | None:
        """A level has ended, or was broken off; None when nothing of it had."""
        if not level.samples:
            return None
        summary = summarize(level, self.goal, self.warm_up)
        self.levels.append(level)
        self.summaries.append(summary)
        if self.output is not None:
            _append_requests(self.output / "requests.jsonl", level, summary)
        return summary

    def report(self) -> LoadReport:
        title = f"Load test of {', '.join(self.models)}"
        return LoadReport(title, self.goal, self.environment, self.levels, self.summaries, is_sweep=self.is_sweep)


@click.command("load")
@models_option
@click.option("--concurrency", metavar="N,N…", help="Closed loop: so many at once. 1,8,32,64 where nothing is said.")
@click.option("--rate", metavar="N,N…", help="Open loop: so many a second, whatever becomes of them.")
@click.option("--sweep", is_flag=True, help="Double the concurrency until it no longer pays, and say where that was.")
@click.option("--max-concurrency", default=256, show_default=True, type=click.IntRange(2), help="Where a sweep ends.")
@click.option(
    "--arrivals", type=click.Choice([a.value for a in Arrivals]), default=Arrivals.POISSON.value, show_default=True
)
@click.option(
    "--requests", type=click.IntRange(1), help="Per level. Four rounds, and fifty at least, if nothing is said."
)
@click.option("--duration", type=FiniteRange(0.1), metavar="S", help="Seconds per level, instead of --requests.")
@click.option(
    "--warm-up",
    type=click.IntRange(0),
    help="Requests whose latencies are left out; by default a twentieth, a round at most.",
)
@click.option("--prompts", type=_FILE, help="A .jsonl, .csv or .txt file of prompts, as `run --input` takes it.")
@click.option(
    "--input-tokens", default=128, show_default=True, type=click.IntRange(5), help="Length of made-up prompts."
)
@click.option("--output-tokens", type=click.IntRange(1), help="max_tokens of every request.")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="temperature=0, ignore_eos=true, …")
@click.option("--slo", default="", metavar="ttft=S,tpot=S,e2e=S", help="What a good answer keeps; gives goodput.")
@click.option(
    "--limiter", is_flag=True, help="Let the limiter find how much goes at once, instead of all that is asked."
)
@click.option("--max-cost", type=FiniteRange(0), metavar="USD", help="Send nothing more when this is spent.")
@click.option("--seed", default=0, show_default=True, help="Of made-up prompts and arrivals.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Directory for requests and reports.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per level.")
@demo_option
@click.option("--profile", type=click.Choice(PROFILES), metavar="NAME", help="With --demo: what kind of day they have.")
@metrics_option
@config_option
@click.pass_context
def command(ctx: click.Context, /, models: tuple[str, ...], demo: bool, as_json: bool, **options: Any) -> None:
    """Measure TTFT, TPOT, throughput and goodput of models under load, through the whole engine.

    With real keys this costs money; with --demo it asks simulated providers on this machine. Ctrl-C ends it early and
    reports what there is.
    """
    if options["profile"] is not None and not demo:
        raise click.UsageError("--profile is about simulated providers: add --demo.", ctx)
    profile = options["profile"] or USUAL_DAY
    test = _test_from(ctx, models, options)
    asks = _asks_from(options)
    invoked = invocation(ctx)
    settings = invoked.settings()
    progress = LoadProgress(test.duration)
    driving = _drive(test, asks, settings, invoked.environ, options, profile if demo else None, progress)
    interruption = Interruption()
    try:
        asyncio.run(driving)
    except KeyboardInterrupt:
        interruption.tell()
    finally:
        progress.end()
    _show(test, as_json=as_json)
    interruption.exit()
    if not test.summaries or not all(summary.answered for summary in test.summaries):
        ctx.exit(1)


def _make_room(output: Path) -> None:
    """Said before anything is sent, rather than when it is to be written."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "requests.jsonl").unlink(missing_ok=True)
        (output / "requests.jsonl").touch()
    except OSError as exc:
        raise click.BadParameter(
            f"nothing can be written to {output}: {exc.strerror or exc}", param_hint="--output"
        ) from None


def _test_from(ctx: click.Context, models: tuple[str, ...], options: Mapping[str, Any]) -> LoadTest:
    if not models:
        raise click.UsageError("Name at least one model with -m.", ctx)
    given = [name for name in ("concurrency", "rate") if options[name] is not None]
    if len(given) + options["sweep"] > 1:
        raise click.UsageError("--concurrency, --rate and --sweep exclude each other.", ctx)
    if options["requests"] is not None and options["duration"] is not None:
        raise click.UsageError("--requests and --duration exclude each other.", ctx)
    return LoadTest(
        models=tuple(dict.fromkeys(models)),
        loads=() if options["sweep"] else tuple(loads_of(options["concurrency"], options["rate"])),
        duration=Duration(options["requests"], options["duration"]),
        goal=parse_goal(options["slo"]),
        warm_up=options["warm_up"],
        most=options["max_concurrency"],
        output=options["output"],
    )


def _asks_from(options: Mapping[str, Any]) -> Iterator[Ask]:
    from workbench.core.params import params_from

    values = parse_params(options["params"])
    if options["output_tokens"] is not None:
        values["max_tokens"] = options["output_tokens"]
    params = params_from(values)
    if options["prompts"] is not None:
        return asks_of_file(options["prompts"], None, "", params)
    return asks_of_lengths(options["input_tokens"], params, options["seed"])


async def _drive(
    test: LoadTest,
    asks: Iterator[Ask],
    settings: Settings,
    environ: Mapping[str, str],
    options: Mapping[str, Any],
    profile: str | None,
    progress: LoadProgress,
) -> None:
    book, clock = Bookkeeper(), SystemClock()
    async with _world(settings, environ, profile) as world:
        chosen = for_load(world.settings, test.window, limiter=options["limiter"])
        async with Engine(
            chosen, environ=world.environ, clock=clock, on_record=book.keep, on_notice=progress.tell
        ) as engine:
            driver = LoadDriver(
                engine,
                clock,
                book,
                asks,
                test.duration,
                arrivals=Arrivals(options["arrivals"]),
                seed=options["seed"],
                max_cost_usd=options["max_cost"],
                tell=progress.update,
            )
            await check_models(test.models, engine)
            if test.output is not None:
                _make_room(test.output)
            for model in test.models:
                await _ask_model(test, model, engine, driver, progress)


async def check_models(models: Iterable[str], engine: Engine) -> None:
    """Say before anything is sent which names lead nowhere, and which lead only where there is no key.

    Raises UnknownModel and other UsageErrors.
    """
    missing: dict[str, tuple[ProviderSpec, list[str]]] = {}
    for model in models:
        rows = [target.spec for target in engine.route(model)]
        # In a thread, since the system's own keyring may take its time or ask a person.
        if not any([not row.needs_key or (await asyncio.to_thread(engine.keyring, row)).keys for row in rows]):
            missing.setdefault(rows[0].name, (rows[0], []))[1].append(model)
    if missing:
        who = ", nor for ".join(f"{row.title or row.name} ({', '.join(named)})" for row, named in missing.values())
        variables = ", and ".join(" or ".join(row.key_variables) for row, _ in missing.values() if row.key_variables)
        raise UsageError(f"No key for {who}.", hint=f"Set {variables}; or add --demo." if variables else "Add --demo.")


async def _ask_model(test: LoadTest, model: str, engine: Engine, driver: LoadDriver, progress: LoadProgress) -> None:
    """Every level of one model, until nothing is answered or the money is spent."""
    for load in test.loads_for(model):
        if driver.is_spent:
            click.echo(f"{model}: the money for this test is spent.", err=True)
            return
        await engine.warm([model], requests=min(load.concurrency or 8, _WARM_CONNECTIONS))
        settle_heap()
        level = Level(model, load)
        try:
            await driver.run(level)
        finally:
            progress.end()
            test.finish(level)
        if not any(sample.record.population is Population.ANSWERED for sample in level.samples):
            click.echo(f"{model}: nothing was answered, so no other load is tried.", err=True)
            return


@asynccontextmanager
async def _world(settings: Settings, environ: Mapping[str, str], profile: str | None) -> AsyncIterator[World]:
    """A person's own keys, or simulated providers in a process of their own."""
    if profile is None:
        yield World(settings, environ)
        return
    async with demo_world(settings, profile) as world:
        yield world


def for_load(settings: Settings, window: int, *, limiter: bool) -> Settings:
    """The same without the cache, and with room for all that is asked at once unless the limiter is to find it."""
    from workbench.providers.catalog import BUILT_IN

    limits = settings.limits
    lanes = dict(limits.lanes)
    if not limiter:
        for name in {row.name for row in BUILT_IN} | set(settings.providers) | set(lanes):
            lanes[name] = msgspec.structs.replace(lanes.get(name, LaneLimits()), max_in_flight=window)
    return msgspec.structs.replace(
        settings,
        cache=CacheSettings(enabled=False),
        limits=LimitSettings(
            max_concurrent=max(window, limits.max_concurrent), global_concurrency=limits.global_concurrency, lanes=lanes
        ),
    )


def _append_requests(path: Path, level: Level, summary: LevelSummary) -> None:
    ordered = sorted(level.samples, key=lambda sample: (sample.scheduled_ns, sample.record.number))
    begun_ns = ordered[0].scheduled_ns
    with path.open("a", encoding="utf-8") as lines:
        for position, sample in enumerate(ordered):
            late_ns = sample.record.timing.submitted_ns - sample.scheduled_ns
            line = {
                "concurrency": level.load.concurrency,
                "rate_per_s": level.load.rate_per_s,
                "warm_up": position < summary.warm_up,
                "scheduled_at_s": round((sample.scheduled_ns - begun_ns) / NS_PER_S, 6),
                "submitted_late_s": round(late_ns / NS_PER_S, 6),
                **record_line(sample.record),
            }
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")


def _show(test: LoadTest, *, as_json: bool) -> None:
    report = test.report()
    if test.output is not None and test.summaries:
        write_report(report, test.output)
    if as_json:
        for summary in test.summaries:
            click.echo(json.dumps(summary.as_dict()))
    elif test.summaries:
        click.echo(environment())
        click.echo(f"\n{table(report)}\n")
        for remark in remarks(report):
            click.echo(f"  {remark}")
        if test.output is not None:
            click.echo(f"  Requests, Markdown and plots are in {test.output}.")
    for level in test.levels:
        if level.first_error is not None:
            click.echo(f"{level.model}, {level.load}: {level.first_error}", err=True)
            break

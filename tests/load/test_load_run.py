"""Load on a real simulator over real sockets: both loops, its records, its files and its exit code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count, pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from workbench.bench.load import LoadTest, check_models, for_load
from workbench.bench.load_drive import Arrivals, Bookkeeper, Level, LoadDriver
from workbench.bench.load_plan import Ask, Duration, Goal, Load, asks_of_lengths
from workbench.bench.load_summary import summarize
from workbench.cli.bench import command as bench
from workbench.cli.entry import run
from workbench.core.clock import SystemClock
from workbench.core.errors import UsageError
from workbench.core.settings import ProviderSettings, Settings
from workbench.core.types import Message, Params
from workbench.demo import demo_world
from workbench.engine.engine import Engine
from workbench.engine.records import Population
from workbench.simulator.server import SimulatorThread

MODEL = "gpt-4.1-mini"

MakeDriver = Callable[..., LoadDriver]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(profile="fast") as running:
        yield running


@pytest.fixture
async def driver(simulator: SimulatorThread, tmp_path: Path) -> AsyncIterator[MakeDriver]:
    world = demo_world(simulator, Settings(), tmp_path)
    book, clock = Bookkeeper(), SystemClock()
    async with Engine(
        for_load(world.settings, 16, limiter=False), environ=world.environ, on_record=book.keep
    ) as engine:

        def make(duration: Duration, **options: object) -> LoadDriver:
            asks = asks_of_lengths(20, Params(max_tokens=12), seed=1)
            return LoadDriver(engine, clock, book, asks, duration, **options)  # type: ignore[arg-type]  # shorthand

        yield make


async def test_a_closed_loop_keeps_so_many_in_flight_and_no_more(driver: MakeDriver) -> None:
    level = Level(MODEL, Load(concurrency=5))

    await driver(Duration(requests=40)).run(level)

    found = summarize(level, Goal(), warm_up=0)
    assert (found.answered, found.failed, found.peak_in_flight <= 5) == (40, 0, True)
    assert found.ttft.n == found.e2e.n == 40
    assert found.throughput.output_tokens == 40 * 12
    assert not found.tokens_estimated


async def test_an_open_loop_sends_by_its_schedule(driver: MakeDriver) -> None:
    level = Level(MODEL, Load(rate_per_s=200.0))

    await driver(Duration(requests=30), arrivals=Arrivals.CONSTANT).run(level)

    due = sorted(sample.scheduled_ns for sample in level.samples)
    assert {b - a for a, b in pairwise(due)} == {5_000_000}
    assert all(sample.record.timing.submitted_ns >= sample.scheduled_ns for sample in level.samples)
    assert summarize(level, Goal(), warm_up=0).answered == 30


async def test_a_level_ends_when_its_time_is_over(driver: MakeDriver) -> None:
    level = Level(MODEL, Load(concurrency=2))

    await driver(Duration(seconds=0.5)).run(level)

    begun = [sample.scheduled_ns for sample in level.samples]
    assert begun
    assert max(begun) - min(begun) <= 500_000_000


async def test_nothing_more_is_sent_when_the_money_is_spent(driver: MakeDriver) -> None:
    level = Level(MODEL, Load(concurrency=1))
    spender = driver(Duration(requests=50), max_cost_usd=1e-9)

    await spender.run(level)

    assert (len(level.samples), spender.is_spent) == (1, True)


async def test_what_fails_is_counted_and_what_it_said_is_kept(simulator: SimulatorThread, tmp_path: Path) -> None:
    world = demo_world(simulator, Settings(), tmp_path)
    book = Bookkeeper()
    level = Level("gpt-no-such-model", Load(concurrency=2))
    asks = (Ask((Message.user(f"{n}"),), Params()) for n in count())
    async with Engine(for_load(world.settings, 4, limiter=False), environ=world.environ, on_record=book.keep) as engine:
        await LoadDriver(engine, SystemClock(), book, asks, Duration(requests=4)).run(level)

    found = summarize(level, Goal(), warm_up=0)
    assert dict(found.populations) == {Population.FAILED: 4}
    assert (found.ttft.p50, found.throughput.requests_per_s) == (None, 0.0)
    assert level.first_error is not None


async def test_a_level_that_is_broken_off_has_what_had_ended(driver: MakeDriver, tmp_path: Path) -> None:
    level = Level(MODEL, Load(concurrency=3))
    enough = asyncio.Event()

    def tell(told: Level) -> None:
        if len(told.samples) >= 9:
            enough.set()

    running = asyncio.create_task(driver(Duration(requests=100_000), tell=tell).run(level))
    await enough.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    test = LoadTest((MODEL,), (level.load,), Duration(), Goal(), 0, 8, tmp_path)
    kept = test.finish(level)
    assert kept is not None
    assert kept.answered >= 9
    assert len((tmp_path / "requests.jsonl").read_text().splitlines()) == len(level.samples)


def test_the_command_writes_its_files_and_says_what_it_measured(tmp_path: Path) -> None:
    output = tmp_path / "report"
    options = "--demo --profile fast --concurrency 1,4 --requests 24 --output-tokens 8 --slo ttft=30 --input-tokens 30"

    result = CliRunner().invoke(bench, ["load", "-m", MODEL, *options.split(), "--output", str(output)])

    assert result.exit_code == 0, result.output
    assert "4 at once" in result.stdout
    assert "24/24" in result.stderr
    lines = [json.loads(line) for line in (output / "requests.jsonl").read_text().splitlines()]
    assert [line["concurrency"] for line in lines] == [1] * 24 + [4] * 24
    assert {line["population"] for line in lines} == {"answered"}
    assert [line["warm_up"] for line in lines[:24]] == [True] + [False] * 23
    assert sorted(path.name for path in output.iterdir()) == [
        "report.html",
        "report.md",
        "requests.jsonl",
        "summary.json",
    ]
    assert "sim-" not in (output / "requests.jsonl").read_text()


def test_json_has_a_line_per_level_and_a_sweep_makes_its_own_levels() -> None:
    options = "--demo --profile fast --sweep --max-concurrency 2 --requests 30 --output-tokens 4 --json"

    result = CliRunner().invoke(bench, ["load", "-m", MODEL, *options.split()])

    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["concurrency"] for row in rows] == [1, 2][: len(rows)]
    assert rows[0]["requests"] == {"answered": 29}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("", "at least one model"),
        ("-m x --rate 1 --sweep", "exclude each other"),
        ("-m x --requests 1 --duration 1", "exclude each other"),
        ("-m x --slo fast", "ttft="),
        ("-m x --concurrency none", "positive numbers"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(options: str, complaint: str) -> None:
    result = CliRunner().invoke(bench, ["load", *options.split()])

    assert result.exit_code == 2
    assert complaint in result.output


def test_a_model_that_answers_nothing_is_not_asked_under_other_loads() -> None:
    options = "-m gpt-no-such-model --demo --profile fast --concurrency 1,2,4 --requests 3 --json"

    result = CliRunner().invoke(bench, ["load", "-m", MODEL, *options.split()])

    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["model"], row["concurrency"]) for row in rows] == [
        (MODEL, 1),
        (MODEL, 2),
        (MODEL, 4),
        ("gpt-no-such-model", 1),
    ]
    assert "nothing was answered" in result.stderr


def test_a_rate_with_even_arrivals_is_an_open_loop() -> None:
    options = "--demo --profile fast --rate 50 --arrivals constant --requests 20 --warm-up 0 --output-tokens 4 --json"

    result = CliRunner().invoke(bench, ["load", "-m", MODEL, *options.split()])

    assert result.exit_code == 0, result.output
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (row["rate_per_s"], row["concurrency"], row["requests"]) == (50.0, None, {"answered": 20})


def test_models_without_a_key_are_all_named_before_anything_is_sent(
    simulator: SimulatorThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "LLM_CONFIG_DIR": str(tmp_path),
        "LLM_STATE_DIR": str(tmp_path),
        "TOGETHER_API_KEY": simulator.api_key,
        "TOGETHER_BASE_URL": simulator.base_urls["together"],
    }.items():
        monkeypatch.setenv(name, value)
    results = tmp_path / "results"
    before = simulator.call(lambda simulation: simulation.journal.tally().requests)
    asked = ["together_ai/Qwen/Qwen3.5-9B", "gpt-4.1-mini", "anthropic/claude-sonnet-4-6", "gpt-5.4"]

    code = run(["bench", "load", *(part for model in asked for part in ("-m", model)), "--output", str(results)])

    assert code == 2
    assert capfd.readouterr().err == (
        "llm-workbench: No key for OpenAI (gpt-4.1-mini, gpt-5.4), nor for Anthropic (anthropic/claude-sonnet-4-6).\n"
        "Set OPENAI_API_KEY or OPENAI_KEYS, and ANTHROPIC_API_KEY or ANTHROPIC_KEYS; or add --demo.\n"
    )
    assert simulator.call(lambda simulation: simulation.journal.tally().requests) == before
    assert not results.exists()


def test_a_chain_of_which_one_model_has_a_key_can_be_measured(simulator: SimulatorThread, tmp_path: Path) -> None:
    world = demo_world(simulator, Settings(), tmp_path)
    keyless = replace(world.settings, providers={**world.settings.providers, "openai": ProviderSettings()})

    async def check(*models: str) -> None:
        async with Engine(keyless, environ=world.environ) as engine:
            await check_models(models, engine)

    asyncio.run(check("gpt-4.1-mini|anthropic/claude-sonnet-4-6", "local/qwen3-8b"))
    with pytest.raises(UsageError, match="No key for OpenAI"):
        asyncio.run(check("anthropic/claude-sonnet-4-6", "gpt-4.1-mini|gpt-5.4"))

"""How a running process's keys stand, asked from outside: what is told, what is not, and what a dead one leaves."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from workbench.cli.invocation import Invocation
from workbench.cli.keys import command
from workbench.core.settings import Settings
from workbench.core.types import CacheMode, Message, Params, Request
from workbench.demo import demo
from workbench.engine.engine import Engine
from workbench.engine.live_keys import LiveKey, LiveKeys, LiveLane, LiveLimit, LiveProcess, live_processes
from workbench.simulator.server import SimulatorThread

MODEL = "gpt-4.1-mini"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The name of a socket may have a hundred characters, which pytest's own directories exceed.

    Demos are looked for in it as well, and not where those of other tests and other people are.
    """
    place = Path(tempfile.mkdtemp(prefix="live-"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def environ(root: Path) -> Iterator[dict[str, str]]:
    with SimulatorThread(profile="rate-limit") as simulator:
        yield {
            "OPENAI_BASE_URL": simulator.base_urls["openai"],
            "OPENAI_KEYS": "sim-key-1,sim-key-2",
            "TMPDIR": str(root),
            **{f"LLM_{name}_DIR": str(root / name.lower()) for name in ("CONFIG", "CACHE", "STATE", "DATA")},
        }


def question(number: int) -> Request:
    return Request(MODEL, (Message.user(f"Question {number}?"),), Params(max_tokens=4), cache=CacheMode.OFF)


def keys(environ: dict[str, str], *options: str) -> Result:
    return CliRunner().invoke(command, options, obj=Invocation(environ))


async def test_a_process_tells_how_each_key_stands_and_never_the_key(root: Path, environ: dict[str, str]) -> None:
    async with Engine(Settings(), environ=environ) as engine:
        await asyncio.gather(*(engine.complete(question(number)) for number in range(3)))

        result = await asyncio.to_thread(keys, environ, "--json")
        plain = await asyncio.to_thread(keys, environ)

    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    assert (first["alias"], first["source"]) == ("openai#1", "OPENAI_KEYS")
    seen = [live for key in (first, second) for live in key["live"]]
    assert sum(live["sent"] for live in seen) == 3
    assert {live["alias"]: live["lanes"][0]["name"] for live in seen} == {
        "openai#1": f"openai#1 · {MODEL}",
        "openai#2": f"openai#2 · {MODEL}",
    }
    (limit,) = first["live"][0]["lanes"][0]["limits"]
    assert (limit["kind"], limit["per_minute"], limit["learned"]) == ("requests", 4.0, False)
    assert "of 4 requests" in plain.stdout
    assert "sim-key" not in result.stdout + plain.stdout


async def test_nothing_is_left_when_it_has_ended(root: Path, environ: dict[str, str]) -> None:
    async with Engine(Settings(), environ=environ):
        assert list((root / "state" / "running").iterdir())

    assert not list((root / "state" / "running").iterdir())
    assert all(not key["live"] for key in map(json.loads, keys(environ, "--json").stdout.splitlines()))


def test_what_a_killed_process_left_behind_is_removed(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(root / "4242-abc.socket"))

    assert list(live_processes(root)) == []
    assert not list(root.iterdir())


@contextmanager
def speaking(directory: Path, said: bytes) -> Iterator[None]:
    """A process of ours that says this to the first one who asks."""
    directory.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(str(directory / "4242-abc.socket"))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(said)

        answered = pool.submit(answer)
        yield
        answered.result()


def test_what_speaks_another_language_is_passed_over(root: Path) -> None:
    with speaking(root, b'{"pid": "a later version"}'):
        assert list(live_processes(root)) == []


async def test_where_there_can_be_no_socket_everything_else_works(root: Path, environ: dict[str, str]) -> None:
    (root / "state").mkdir()
    (root / "state" / "running").touch()

    async with Engine(Settings(), environ=environ) as engine:
        answer = await engine.complete(question(1))

    assert answer.text


def test_a_key_that_cools_or_is_retired_says_until_when_and_why(root: Path, environ: dict[str, str]) -> None:
    limits = (LiveLimit("requests", 4.0, 4.0, learned=True),)
    cooling = LiveLane(
        f"openai#1 · {MODEL}", "cooling", 0, 8, limits, 2, "key cooling", 12.0, 12.0, "requests per minute"
    )
    paced = LiveLane(f"openai#2 · {MODEL}", "paced", 3, 8, limits, 2, "requests per minute", 6.0, None, "")
    seen = LiveProcess(
        4242,
        "llm-workbench",
        (
            LiveKey(
                "openai#1", "openai", "OPENAI_KEYS", "f1", "cooling", 0, 4, 1, 12.0, "requests per minute", (cooling,)
            ),
            LiveKey("openai#2", "openai", "OPENAI_KEYS", "f2", "ready", 3, 4, 0, None, "", (paced,)),
            LiveKey("openai#3", "openai", "OPENAI_KEYS", "f3", "retired", 0, 1, 0, None, "key rejected", (paced,)),
        ),
    )

    with speaking(root / "state" / "running", msgspec.json.encode(seen)):
        shown = keys(environ).stdout

    rows = [" ".join(line.split()) for line in shown.partition("process 4242:\n")[2].splitlines()[1:4]]
    assert f"openai#1 {MODEL} cooling until " in rows[0]
    assert rows[0].endswith(" 0/8 2 4 of ~4 requests requests per minute")
    assert rows[1].endswith(" paced 3/8 2 4 of ~4 requests requests per minute, the next goes in 6 s")
    assert rows[2].startswith(f"openai#3 {MODEL} retired 3/8")
    assert rows[2].endswith("key rejected")


def test_of_very_many_keys_only_those_in_use_have_a_row(root: Path, environ: dict[str, str]) -> None:
    def key(number: int, used: float) -> LiveKey:
        limits = (LiveLimit("requests", used, 60.0, learned=False),)
        lane = LiveLane(f"openai#{number} · {MODEL}", "open", 0, 8, limits, 0, "", None, None, "")
        return LiveKey(f"openai#{number}", "openai", "OPENAI_KEYS", "", "ready", 0, 0, 0, None, "", (lane,))

    seen = LiveProcess(4242, "llm-workbench", (key(1, 0.0), key(2, 3.0), *(key(n, 0.0) for n in range(3, 1_001))))

    with speaking(root / "state" / "running", msgspec.json.encode(seen)):
        shown = keys(environ).stdout.partition("process 4242:\n")[2].partition("\n\n")[0]

    _, row, others = shown.splitlines()
    assert "3 of 60 requests" in row
    assert others == "  and 999 more, idle"


def test_watching_looks_again_until_ctrl_c(environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "workbench", "keys", "--watch", "--json"],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            looks = [json.loads(child.stdout.readline())["alias"] for _ in range(4)]
        finally:
            child.send_signal(signal.SIGINT)

    assert looks == ["openai#1", "openai#2"] * 2
    assert child.returncode == 130


async def test_an_engine_that_is_asked_often_answers_each_time(root: Path, environ: dict[str, str]) -> None:
    async with Engine(Settings(), environ=environ) as engine:
        assert engine.limiter is not None
        server = LiveKeys(root / "another", engine.limiter.statistics)
        await server.open()

        counts = [len(await asyncio.to_thread(lambda: list(live_processes(root / "another")))) for _ in range(20)]

        await server.aclose()
    assert counts == [1] * 20


async def test_a_demo_tells_too_though_its_files_are_its_own(root: Path) -> None:
    async with demo(Settings(), "rate-limit") as world, Engine(world.settings, environ=world.environ) as engine:
        await engine.complete(question(1))

        shown = await asyncio.to_thread(keys, {"LLM_STATE_DIR": str(root), "LLM_CONFIG_DIR": str(root)})
        lines = await asyncio.to_thread(keys, {"LLM_STATE_DIR": str(root), "LLM_CONFIG_DIR": str(root)}, "--json")
    after = await asyncio.to_thread(keys, {"LLM_STATE_DIR": str(root), "LLM_CONFIG_DIR": str(root)})

    assert f" --demo, process {os.getpid()}:" in shown.stdout
    assert "1 of 4 requests" in shown.stdout
    used = [key for key in map(json.loads, lines.stdout.splitlines()) if key["live"][0]["sent"]]
    assert [(key["alias"], key["provider"], key["account"]) for key in used] == [("openai#1", "openai", None)]
    assert used[0]["live"][0]["program"].endswith(" --demo")
    assert used[0]["live"][0]["lanes"][0]["limits"][0]["used"] == 1.0
    assert "sim-key" not in lines.stdout
    assert "--demo" not in after.stdout

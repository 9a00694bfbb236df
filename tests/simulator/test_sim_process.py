"""The simulator as a process: its one line, its end, and that it never outlives whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from workbench.simulator.process import SimulatorFailed, simulator_process
from workbench.simulator.server import SimulatorThread

BASE_URLS = {"openai", "anthropic", "gemini", "together", "sambanova", "openrouter", "local", "litellm"}


def ends_within(pid: int, seconds: float) -> bool:
    """Whether that process, which need not be ours, ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


async def test_a_child_serves_every_provider_and_is_gone_afterwards() -> None:
    async with simulator_process(profile="fast") as simulator, httpx.AsyncClient() as client:
        response = await client.get(
            f"{simulator.base_urls['openai']}/models", headers={"authorization": f"Bearer {simulator.api_key}"}
        )

    assert response.status_code == 200
    assert set(simulator.base_urls) == BASE_URLS
    assert simulator.base_urls["openai"] == f"{simulator.url}/openai/v1"
    assert simulator.base_urls["anthropic"] == f"{simulator.url}/anthropic"
    assert simulator.base_urls["gemini"] == f"{simulator.url}/gemini"
    assert ends_within(simulator.pid, 0)


async def test_a_child_with_tls_names_its_authority() -> None:
    async with simulator_process(profile="fast", tls=True) as simulator:
        assert simulator.url.startswith("https://")
        assert simulator.ca_file is not None
        assert simulator.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")

    assert not simulator.ca_file.exists()


async def test_the_child_is_stopped_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        async with simulator_process(profile="fast") as simulator:
            raise ZeroDivisionError

    assert ends_within(simulator.pid, 0)


async def test_a_port_that_is_taken_is_named_in_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SimulatorFailed, match=str(port)):
            async with simulator_process(profile="fast", port=port):
                pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_one_line_and_ends_quietly(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "workbench", "simulate", "--profile", "fast", "--seed", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            ready = json.loads(child.stdout.readline())
            child.send_signal(number)
            rest, errors = child.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()

    assert set(ready) == {"url", "base_urls", "api_key", "ca_file"}
    assert (child.returncode, rest, errors) == (0, "", "")


def test_it_dies_with_its_parent_even_when_that_is_killed() -> None:
    script = (
        "import asyncio\n"
        "from workbench.simulator.process import simulator_process\n"
        "async def main():\n"
        "    async with simulator_process(profile='fast') as simulator:\n"
        "        print(simulator.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    assert ends_within(pid, 20)


async def test_a_thread_ends_its_streams_when_it_stops() -> None:
    simulator = SimulatorThread("fast").start()
    headers = {"authorization": "Bearer sim-key-1", "x-sim-fault": "stall;after=2"}
    body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello there"}], "stream": True}
    async with (
        httpx.AsyncClient() as client,
        client.stream(
            "POST", f"{simulator.base_urls['openai']}/chat/completions", headers=headers, json=body
        ) as answer,
    ):
        chunks = answer.aiter_raw()
        await anext(chunks)

        simulator.stop()

        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in chunks:
                pass
    assert not [
        thread for thread in threading.enumerate() if thread.name == "simulator" and thread.ident == id(simulator)
    ]
    simulator.stop()


def test_a_thread_that_cannot_listen_raises_where_it_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        SimulatorThread("fast", port=taken.getsockname()[1]).start()

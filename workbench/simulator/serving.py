"""The simulator in the foreground: one line when it is ready, and a quiet end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec

from workbench.simulator.accounts import FIRST_KEY
from workbench.simulator.server import ServerOptions, opened


async def serve(options: ServerOptions, host: str, port: int, *, until_stdin_closes: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or until the process at the other end of stdin is gone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _read_until_closed, loop, stop)
    async with opened(options, host, port) as running:
        ready = {
            "url": running.url,
            "base_urls": running.base_urls,
            "api_key": FIRST_KEY,
            "ca_file": str(running.ca_file) if running.ca_file else None,
        }
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def _read_until_closed(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

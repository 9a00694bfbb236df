"""The soft limit on open files is for programs that wait with `select`: a connection for each call needs more."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))
from workbench.core.settings import Settings
from workbench.engine.engine import Engine

async def main():
    async with Engine(Settings()):
        print(*resource.getrlimit(resource.RLIMIT_NOFILE))

asyncio.run(main())
"""


def limits_in_an_engine(hard: int) -> str:
    done = subprocess.run([sys.executable, "-c", CODE.format(hard=hard)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_engine_may_open_as_many_files_as_the_system_lets_it() -> None:
    assert limits_in_an_engine(300) == "300 300"


def test_a_limit_that_stands_is_left_alone() -> None:
    assert limits_in_an_engine(64) == "64 64"

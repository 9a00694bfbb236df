"""Forks after use: the child asks on its own, whatever the parent's threads were in the middle of."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from workbench import LLM
from workbench.core.errors import EngineClosed
from workbench.core.forking import ForkGate
from workbench.loop_thread import close_shared_loop_thread

LONG_S = 120.0

ASK_IN_CHILDREN = """
import faulthandler, itertools, os, threading
from workbench import LLM

llm = LLM("gpt-4.1-mini")

def child_answers(number):
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(150, exit=True)
        os._exit(0 if llm.chat(f"child {number}") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, number
"""


def run_script(script: str) -> tuple[int, str, str]:
    # Newer Pythons warn of every fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.usefixtures("simulator")
def test_ten_children_forked_from_the_first_call_on_all_get_answers() -> None:
    script = (
        f"{ASK_IN_CHILDREN}\n"
        "going = True\n"
        "def keep_asking():\n"
        "    for round in itertools.takewhile(lambda _: going, itertools.count()):\n"
        "        llm.generate([f'{round} {place}' for place in range(12)], silent=True, cache=bool(round % 2))\n"
        "asking = threading.Thread(target=keep_asking)\n"
        "asking.start()\n"
        # The first of them meet the parent while it imports, opens its cache and its history.
        "for number in range(10):\n    child_answers(number)\n"
        "going = False\n"
        "asking.join()\n"
        "print(len(llm.chat('parent')) > 0)\n"
    )

    assert run_script(script) == (0, "True\n", "")


@pytest.mark.usefixtures("simulator")
def test_a_pool_of_forked_workers_asks_after_its_parent_has() -> None:
    script = (
        "import multiprocessing\nfrom workbench import LLM\n"
        "llm = LLM('gpt-4.1-mini')\n"
        "def ask(number):\n    return len(llm.generate([f'{number} a', f'{number} b'], silent=True))\n"
        "llm.chat('parent')\n"
        "with multiprocessing.get_context('fork').Pool(3) as pool:\n    print(pool.map(ask, range(6)))\n"
        "print(len(llm.chat('parent again')) > 0)\n"
    )

    assert run_script(script) == (0, "[2, 2, 2, 2, 2, 2]\nTrue\n", "")


@pytest.mark.usefixtures("simulator")
def test_a_child_neither_goes_on_with_its_parents_stream_nor_disturbs_it() -> None:
    script = (
        "import os, sys\nfrom workbench import LLM\nfrom workbench.core.errors import EngineClosed\n"
        "pieces = LLM('gpt-4.1-mini').stream('Tell me of the sea.')\nfirst = next(pieces)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n        next(pieces)\n    except EngineClosed:\n        os._exit(7)\n    os._exit(1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(first + ''.join(pieces)) > len(first))\n"
    )

    assert run_script(script) == (0, "7 True\n", "")


@pytest.mark.usefixtures("simulator")
def test_a_stream_whose_thread_was_closed_says_so() -> None:
    pieces = LLM("gpt-4.1-mini").stream("Tell me of the sea.")
    next(pieces)
    close_shared_loop_thread()

    with pytest.raises(EngineClosed):
        for _ in pieces:
            pass


def test_a_fork_waits_for_work_under_way_and_lets_no_more_begin() -> None:
    gate = ForkGate()
    begun, finish, late = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        with gate.work():
            begun.set()
            finish.wait(LONG_S)

    def come_late() -> None:
        with gate.work():
            late.set()

    with ThreadPoolExecutor() as pool:
        working = pool.submit(work)
        begun.wait(LONG_S)
        assert not gate.close(0)
        coming = pool.submit(come_late)
        finish.set()
        wait_for([working], LONG_S)
        assert gate.close(LONG_S)
        assert not late.is_set()
        gate.open()
        assert not late.is_set()
        gate.open()
        wait_for([coming], LONG_S)

    assert late.is_set()


def test_work_within_work_does_not_wait_for_the_fork_that_waits_for_it() -> None:
    gate = ForkGate()

    with gate.work():
        assert gate.close(0), "the thread that forks does not wait for itself"
        with gate.work():
            pass
        gate.open()

    assert gate.close(0)


def test_a_forked_child_finds_the_gate_open() -> None:
    gate = ForkGate()
    gate.close(0)

    gate.forget()

    with gate.work():
        pass
    assert gate.close(0)

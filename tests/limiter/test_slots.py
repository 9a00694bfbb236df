"""A cap on calls over all processes: real locks, real processes, real deaths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from limiter_virtual_time import in_virtual_time, lease_of, make_limiter, queued, ticket

from workbench.core.events import WaitReason
from workbench.engine import lock_file
from workbench.engine.admission import Outcome
from workbench.engine.lock_file import CannotLock, LockFile, file_system
from workbench.engine.slots import SharedSlots

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on bytes of a file there")

HOLDER = """
import sys
from pathlib import Path
from random import Random
from workbench.engine.slots import SharedSlots

slots = SharedSlots(Path(sys.argv[1]), 8, Random(1))
held = [slots.acquire() for _ in range(2)]
print(sum(slot is not None for slot in held), flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds two slots until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "2\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_slots_are_counted_over_processes_and_freed_when_one_is_killed(tmp_path):
    path = tmp_path / "acme.slots"
    holders = [holder(path) for _ in range(4)]
    slots = SharedSlots(path, 8, Random(2))
    try:
        assert slots.acquire() is None

        end(holders[0])

        assert [slots.acquire() is not None for _ in range(3)] == [True, True, False]
    finally:
        for process in holders:
            end(process)
        slots.close()


def test_released_slots_can_be_taken_again(tmp_path):
    slots = SharedSlots(tmp_path / "acme.slots", 2, Random(1))
    first, second = slots.acquire(), slots.acquire()
    assert first is not None
    assert second is not None
    assert slots.acquire() is None

    first.release()

    assert slots.acquire() is not None
    slots.close()


def test_who_holds_his_share_leaves_free_slots_to_those_that_wait(tmp_path):
    path = tmp_path / "acme.slots"
    busy, late = SharedSlots(path, 4, Random(1)), SharedSlots(path, 4, Random(2))
    held = [busy.acquire() for _ in range(4)]
    assert late.acquire() is None

    for slot in held[:2]:
        assert slot is not None
        slot.release()

    assert busy.acquire() is None, "two of four are the share of one of two"
    assert [late.acquire() is not None for _ in range(3)] == [True, True, False]
    late.idle()
    busy.close()
    late.close()


def test_what_does_not_come_out_even_is_used_all_the_same_and_who_wants_nothing_has_no_part(tmp_path):
    path = tmp_path / "acme.slots"
    *busy, idle = (SharedSlots(path, 7, Random(n)) for n in range(4))
    held = [busy[0].acquire() for _ in range(7)]
    assert [slots.acquire() for slots in busy] == [None] * 3
    for slot in held:
        assert slot is not None
        slot.release()

    for _ in range(7):
        for slots in busy:
            slots.acquire()

    assert sorted(slots.in_use for slots in busy) == [2, 2, 3]
    for slots in (*busy, idle):
        slots.close()


def test_asking_again_takes_longer_with_every_miss_up_to_a_quarter_of_a_second(tmp_path):
    slots = SharedSlots(tmp_path / "acme.slots", 1, Random(1))
    assert slots.acquire() is not None
    waits = []
    for _ in range(10):
        assert slots.acquire() is None
        waits.append(slots.retry_s)

    assert waits[0] <= 0.04
    assert 0.1 <= waits[-1] <= 0.25
    slots.close()


def test_a_forked_child_neither_owns_nor_keeps_its_parents_slots(tmp_path):
    script = """
import os, sys
from pathlib import Path
from random import Random
from workbench.engine.slots import SharedSlots

path = Path(sys.argv[1])
slots = SharedSlots(path, 1, Random(1))
assert slots.acquire() is not None
reading, writing = os.pipe()
if os.fork() == 0:
    mine = SharedSlots(path, 1, Random(2))
    os.write(writing, b"taken" if mine.acquire() else b"full")
    os._exit(0)
os.wait()
print(os.read(reading, 10).decode())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "acme.slots")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout == "full\n"


@pytest.mark.parametrize("cap", [0, -1, 5000])
def test_a_senseless_cap_is_refused(tmp_path, cap):
    with pytest.raises(ValueError, match="between 1 and 4096"):
        SharedSlots(tmp_path / "acme.slots", cap, Random(1))


def test_a_network_file_system_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_file, "file_system", lambda path: "nfs4")

    with pytest.raises(CannotLock, match="network file system"):
        LockFile.open(tmp_path / "file", 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its mounts there")
def test_the_file_system_of_a_path_is_known():
    assert file_system(Path("/proc/self")) == "proc"


def test_two_limiters_share_the_cap_and_say_that_they_wait_for_it(tmp_path):
    async def scenario(clock):
        limiters = [make_limiter(clock, global_concurrency=3, state_dir=tmp_path) for _ in range(2)]
        leases = [await lease_of(limiters[0].enqueue(ticket())) for _ in range(3)]
        waiter = limiters[1].enqueue(ticket(model="another"))
        event = await queued(waiter)

        leases[0].settle(Outcome.NEUTRAL, clock.monotonic_ns())

        asked_ns = clock.monotonic_ns()
        await lease_of(waiter)
        for limiter in limiters:
            await limiter.aclose()
        return event.reason, (clock.monotonic_ns() - asked_ns) / 1e9

    reason, waited_s = in_virtual_time(scenario)

    assert reason is WaitReason.GLOBAL_CAP
    assert waited_s <= 0.25


def test_nobody_holds_a_shared_slot_while_it_waits_for_its_own_lane(tmp_path):
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1, max_window=1, global_concurrency=2, state_dir=tmp_path)
        await lease_of(limiter.enqueue(ticket()))
        for _ in range(5):
            await queued(limiter.enqueue(ticket()))

        other = make_limiter(clock, global_concurrency=2, state_dir=tmp_path)
        await lease_of(other.enqueue(ticket(model="another")))
        await limiter.aclose()
        await other.aclose()

    in_virtual_time(scenario)


def test_a_directory_that_cannot_hold_locks_leaves_a_cap_for_this_process_and_says_so(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")

    async def scenario(clock):
        limiter = make_limiter(clock, global_concurrency=1, state_dir=occupied)
        await lease_of(limiter.enqueue(ticket()))
        event = await queued(limiter.enqueue(ticket()))
        stats = limiter.statistics()
        await limiter.aclose()
        return event.reason, [change.why for change in stats.history if change.what == "sharing"]

    reason, notes = in_virtual_time(scenario)

    assert reason is WaitReason.GLOBAL_CAP
    assert notes
    assert all(note.startswith("only within this process") for note in notes)

"""One way of getting a file of prompts through OpenAI's batch endpoints, in a process of its own: job in, sample out.

`ours` is the job desk, as the shell and the workbench use it: rows from a file, everything kept in the store, answers
read back from it row by row. `openai` is the SDK as its documentation shows it: one string up, one string down.
Both run on one event loop, whose longest turns are measured, after a small batch that loads what is loaded once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import msgspec

from workbench.bench.wire_client import resident_mb
from workbench.core.heap import settle_heap
from workbench.core.stats import Sketch
from workbench.engine.poll_watch import PollWatch

MODEL = "gpt-4.1-nano"
WARM_UP_ROWS = 200
BEAT_S = 0.005
PROMPT = "Sort this complaint by subject, tone and how soon it wants an answer, and say why: order {number} came late. "


class BatchJob(msgspec.Struct):
    base_url: str
    key: str
    rows: int


class BatchSample(msgspec.Struct):
    """Seconds, MB, milliseconds."""

    rows: int
    answered: int
    """Rows that came back with a text."""
    submit_s: float
    track_s: float
    retrieve_s: float
    cpu_s: float
    """Of this process, all its threads."""
    resident: dict[str, float]
    """Now, by stage: before, submitted, tracked, retrieved; and the peak over all of them."""
    stall_max_ms: float
    """The longest that the loop went without looking at its sockets, whatever the machine was doing."""
    busy_max_ms: float
    """The most that the loop's own thread worked between two looks: the part that is the program's own."""
    late_p99_ms: float
    """How much later than asked for a timer goes off."""


class Marks(Protocol):
    def __call__(self, stage: str) -> None: ...


async def openai_sdk(job: BatchJob, prompts: Path, mark: Marks) -> int:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=job.base_url, api_key=job.key, max_retries=0) as client:
        lines = _encoded(prompts)
        file = await client.files.create(file=("rows.jsonl", "\n".join(lines).encode()), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        mark("submitted")
        while batch.status != "completed":
            await asyncio.sleep(0.2)
            batch = await client.batches.retrieve(batch.id)
        assert batch.output_file_id is not None
        answers: dict[str, Any] = {}
        for line in (await client.files.content(batch.output_file_id)).text.splitlines():
            answer = json.loads(line)
            answers[answer["custom_id"]] = answer["response"]["body"]
        mark("tracked")
        texts = [answers[f"row-{number}"]["choices"][0]["message"]["content"] for number in range(len(lines))]
        mark("retrieved")
        return sum(map(bool, texts))


def _encoded(prompts: Path) -> list[str]:
    return [json.dumps(_request(json.loads(text))) for text in prompts.read_text().splitlines()]


def _request(row: dict[str, str]) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": row["prompt"]}]}
    return {"custom_id": row["id"], "method": "POST", "url": "/v1/chat/completions", "body": body}


def write_prompts(path: Path, rows: int) -> Path:
    """The same for everybody."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            prompt = PROMPT.format(number=number) * 2
            file.write(json.dumps({"id": f"row-{number}", "prompt": prompt}) + "\n")
    return path


@asynccontextmanager
async def _desk(job: BatchJob, root: Path) -> AsyncIterator[Any]:
    from workbench.bench.engine_client import bench_engine
    from workbench.core.paths import Paths
    from workbench.jobs.desk import JobDesk

    async with (
        bench_engine(job.base_url, job.key, cached=True, root=root) as engine,
        JobDesk(engine, Paths.under(root).database) as desk,
    ):
        yield desk


async def ours(job: BatchJob, prompts: Path, mark: Marks) -> int:
    from workbench.jobs.rows import Row, RowReader

    async with _desk(job, prompts.parent) as desk:
        found = RowReader().read(prompts)
        made = await desk.submit(MODEL, (row for row in found if isinstance(row, Row)))
        mark("submitted")
        await desk.wait(made.id, poll_interval_s=0.2)
        mark("tracked")
        answered = 0
        async for row in desk.all_rows(made.id):
            answered += bool(row.answer and row.answer.text)
        mark("retrieved")
        return answered


CLIENTS = {"ours": ours, "openai": openai_sdk}


async def measure(name: str, job: BatchJob) -> BatchSample:
    client = CLIENTS[name]
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as root:
        await client(job, write_prompts(Path(warm) / "rows.jsonl", WARM_UP_ROWS), lambda stage: None)
        prompts = write_prompts(Path(root) / "rows.jsonl", job.rows)
        # As the workbench does when it has started: a full collection looks at every module otherwise, for 100 ms.
        gc.collect()
        settle_heap()
        loop = asyncio.get_running_loop()
        by_clock, by_work = PollWatch(time.monotonic_ns), PollWatch(time.thread_time_ns)
        by_clock.install(loop)
        by_work.install(loop)
        lateness = Sketch()
        heart = asyncio.create_task(_beat(lateness))
        resident, times = {"before": resident_now_mb()}, [time.perf_counter()]

        def mark(stage: str) -> None:
            resident[stage] = resident_now_mb()
            times.append(time.perf_counter())

        began_ns, work_ns, cpu = time.monotonic_ns(), time.thread_time_ns(), time.process_time()
        answered = await client(job, prompts, mark)
        cpu = time.process_time() - cpu
        resident["peak"] = resident_mb()
        stall_ms, busy_ms = by_clock.worst_ns(began_ns) / 1e6, by_work.worst_ns(work_ns) / 1e6
        by_work.remove()
        by_clock.remove()
        heart.cancel()
        await asyncio.wait([heart])
    submit_s, track_s, retrieve_s = (later - earlier for earlier, later in pairwise(times))
    late_ms = (lateness.percentiles().p99 or 0.0) * 1e3
    return BatchSample(job.rows, answered, submit_s, track_s, retrieve_s, cpu, resident, stall_ms, busy_ms, late_ms)


async def _beat(lateness: Sketch) -> None:
    """Until it is cancelled."""
    while True:
        due = time.perf_counter() + BEAT_S
        await asyncio.sleep(BEAT_S)
        lateness.add(max(0.0, time.perf_counter() - due))


def resident_now_mb() -> float:
    """The peak so far where the system does not tell what it is now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resident_mb()
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def main(name: str) -> None:
    job = msgspec.json.decode(await asyncio.to_thread(sys.stdin.readline), type=BatchJob)
    print(msgspec.json.encode(await measure(name, job)).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The app that `bench ui` measures: panes of one kind, fed at a steady rate, in a terminal of its own.

Run as `python -m workbench.bench.ui_app JOB FILE`; writes a list with the figures of each task to FILE and ends.
Heartbeat, feeding and panes share one loop, as engine and panes do in the workbench.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Grid, Vertical, VerticalScroll
from textual.widgets import Markdown

from workbench.bench.report import percentile
from workbench.core.heap import settle_heap
from workbench.core.types import Channel
from workbench.tui.frame import FrameClock
from workbench.tui.widgets.stream_view import StreamView

TOKEN = 4
"""Characters that are fed as one token."""
BEAT_S = 0.010
SETTLING_S = 1.5
"""Between the first frame, or one measurement, and the start of the next."""


@dataclass(frozen=True, slots=True)
class Job:
    kind: str
    """`ours` or `stream`."""
    tasks: tuple[str, ...]
    """`open`, `feed` or `resize`, one after the other; an `open` only as the first."""
    panes: int
    rate: float
    """Tokens per second and pane."""
    preload: int
    """Tokens on screen before the measurements."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What one task came to; milliseconds, and shares of one core."""

    cpu: float
    lag_p50: float
    lag_p95: float
    lag_p99: float
    delay_p50: float
    delay_p95: float
    """From a token's arrival to the first frame that shows it."""
    backlog: int
    """Tokens that were due and not on screen when feeding stopped, in the pane that was furthest behind."""
    first_frame: float
    """Of an `open` or `resize`: from asking for it to the first frame that shows it."""


def mixed_markdown() -> Iterator[str]:
    """An answer without end: headings, paragraphs, lists, code and tables, no two sections the same."""
    for number in itertools.count(1):
        yield f"## Section {number}: what changes at step {number * 7 % 101}\n\n"
        for part in range(2):
            yield (
                f"In case **{number}.{part}** the *planner* reads `orders_{number * 31 % 977}` once more than needed, "
                f"because a subquery over {number * 13 % 89} partitions is not correlated with the outer one; see the "
                f"[notes](https://example.com/{number}/{part}). It costs {number * 37 % 953} ms, and a second pass "
                f"over the same pages, although **nothing** in the result depends on it.\n\n"
            )
        yield f"- first, scan `part_{number}` once\n- then hash {number * 3} keys\n  - in memory\n- **probe** it\n\n"
        yield (
            f"```python\nasync def step_{number}(client, prompt):\n    async for chunk in client.stream(prompt):\n"
            f"        if chunk.index > {number}:  # text only\n            yield chunk.text\n    return None\n```\n\n"
        )
        yield f"| Plan | Cost {number} | Rows |\n|:-----|------:|:----:|\n| Seq Scan | {number * 1.5} | {number} |\n\n"


class Source:
    """Deals out one answer in tokens."""

    def __init__(self) -> None:
        self._sections = mixed_markdown()
        self._rest = ""

    def tokens(self, count: int) -> str:
        while len(self._rest) < count * TOKEN:
            self._rest += next(self._sections)
        text, self._rest = self._rest[: count * TOKEN], self._rest[count * TOKEN :]
        return text


class OurPane(StreamView):
    """`StreamView`, counting what its frames have shown."""

    fed = shown = 0

    async def load(self, text: str) -> None:
        self.set_text(text, at_end=True)
        self.fed = self.shown = len(text)

    async def feed(self, text: str) -> None:
        self.fed += len(text)
        self.append(Channel.TEXT, text)

    def flush(self, budget_s: float) -> bool:
        more = super().flush(budget_s)
        self.shown = self.fed
        return more

    def has_laid_out(self, columns: int) -> bool:
        return 0 < self.virtual_size.width <= columns and self.max_scroll_y > 0


class CountedMarkdown(Markdown):
    shown = 0

    def append(self, markdown: str) -> Any:
        appended = super().append(markdown)

        async def append() -> None:
            await appended
            self.shown += len(markdown)

        return append()


class PeerPane(VerticalScroll):
    """Textual's own way: `Markdown` in a scrolling container, fed through `get_stream`, anchored to its end."""

    fed = 0

    def compose(self) -> ComposeResult:
        self.markdown = CountedMarkdown()
        yield self.markdown

    async def load(self, text: str) -> None:
        await self.markdown.update(text)
        self.markdown.shown = self.fed = len(text)
        self.stream = Markdown.get_stream(self.markdown)
        self.anchor()

    async def feed(self, text: str) -> None:
        self.fed += len(text)
        await self.stream.write(text)

    @property
    def shown(self) -> int:
        return self.markdown.shown

    def has_laid_out(self, columns: int) -> bool:
        return 0 < self.markdown.size.width <= columns and self.max_scroll_y > 0


class BenchApp(App[None]):
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    .frame { border: solid $primary; }
    .frame, OurPane, PeerPane { height: 1fr; width: 1fr; }
    OurPane, PeerPane { padding: 0 1; scrollbar-size: 1 1; }
    """

    def __init__(self, job: Job, on_measured: Callable[[list[Sample]], None]) -> None:
        super().__init__()
        self._job = job
        self._on_measured = on_measured
        self._panes = [OurPane() if job.kind == "ours" else PeerPane() for _ in range(job.panes)]
        self._waiting: list[deque[tuple[int, float]]] = [deque() for _ in self._panes]
        self._unfed: list[float] = []
        """When each token was due that the panes could not be given in time."""
        self._delays: list[float] = []
        self._lags: list[float] = []
        self._displayed = asyncio.Event()
        self._measuring = False

    def compose(self) -> ComposeResult:
        with Grid() as grid:
            for pane in self._panes:
                yield Vertical(pane, classes="frame")
        columns = 4 if self._job.panes > 4 else 2 if self._job.panes > 1 else 1
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = -(-self._job.panes // columns)

    def on_mount(self) -> None:
        self._frames = FrameClock(self)
        for pane in self._panes:
            if isinstance(pane, OurPane):
                self._frames.add(pane)
        self.run_worker(self._measure())

    def post_display_hook(self) -> None:
        """A frame has just been written: whatever a pane had drawn by now is on screen."""
        now = time.perf_counter()
        for pane, waiting in zip(self._panes, self._waiting, strict=True):
            while waiting and waiting[0][0] <= pane.shown:
                self._delays.append(now - waiting.popleft()[1])
        self._displayed.set()

    async def _measure(self) -> None:
        sources = [Source() for _ in self._panes]
        texts = [source.tokens(self._job.preload) for source in sources]
        if self._job.tasks[0] == "open":
            # The first parse imports and builds the parser, on both sides; that belongs to starting, not to opening.
            await self._load([source.tokens(100) for source in sources])
        else:
            await self._load(texts)
        samples: list[Sample] = []
        for task in self._job.tasks:
            if samples:
                await asyncio.sleep(SETTLING_S)
            gc.collect()
            settle_heap()
            samples.append(await self._sample(task, sources, texts))
        self._on_measured(samples)
        self.exit()

    async def _sample(self, task: str, sources: list[Source], texts: list[str]) -> Sample:
        self._lags, self._delays, self._unfed = [], [], []
        beat = asyncio.create_task(self._heartbeat(), name="heartbeat")
        cpu, wall = time.process_time(), time.perf_counter()
        first_frame = 0.0
        match task:
            case "open":
                first_frame = await self._first_frame(self._load(texts, settle=False), self.size.width)
            case "resize":
                self.query_one(Grid).styles.width = columns = self.size.width * 3 // 5
                first_frame = await self._first_frame(asyncio.sleep(0), columns)
            case _:
                await self._feed(sources)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        backlog = max(pane.fed - pane.shown for pane in self._panes) // TOKEN + len(self._unfed)
        now = time.perf_counter()
        missing = [at for waiting in self._waiting for _, at in waiting] + self._unfed * len(self._panes)
        delays = self._delays + [now - at for at in missing]
        self._measuring = False
        await beat
        return Sample(
            cpu=cpu / wall,
            lag_p50=percentile_ms(self._lags, 0.50),
            lag_p95=percentile_ms(self._lags, 0.95),
            lag_p99=percentile_ms(self._lags, 0.99),
            delay_p50=percentile_ms(delays, 0.50),
            delay_p95=percentile_ms(delays, 0.95),
            backlog=backlog,
            first_frame=first_frame * 1e3,
        )

    async def _load(self, texts: list[str], *, settle: bool = True) -> None:
        for pane, text in zip(self._panes, texts, strict=True):
            await pane.load(text)
        if settle:
            await asyncio.sleep(SETTLING_S)

    async def _first_frame(self, asked: Awaitable[None], columns: int) -> float:
        """Seconds until a frame shows the panes laid out for at most so many columns."""
        began = time.perf_counter()
        await asked
        while True:
            self._displayed.clear()
            await self._displayed.wait()
            if all(pane.has_laid_out(columns) for pane in self._panes):
                return time.perf_counter() - began

    async def _heartbeat(self) -> None:
        self._measuring = True
        while self._measuring:
            began = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            self._lags.append(time.perf_counter() - began - BEAT_S)

    async def _feed(self, sources: list[Source]) -> None:
        began = time.perf_counter()
        sent = 0
        while (elapsed := time.perf_counter() - began) < self._job.seconds:
            due = int(elapsed * self._job.rate) - sent
            sent += due
            for fed in range(due):
                # A pane that makes its feeder wait would take twice as long to be given all that is due.
                if time.perf_counter() - began >= self._job.seconds:
                    self._unfed = [began + elapsed] * (due - fed)
                    return
                for pane, source, waiting in zip(self._panes, sources, self._waiting, strict=True):
                    await pane.feed(source.tokens(1))
                    # When it was due: whoever makes its feeder wait has made the token wait.
                    waiting.append((pane.fed, began + elapsed))
            await asyncio.sleep(min(1 / self._job.rate, 0.01))


def percentile_ms(seconds: list[float], share: float) -> float:
    """Milliseconds; 0 of nothing."""
    return percentile(seconds, share) * 1e3 if seconds else 0.0


def end_with(parent: int) -> None:
    """Leave when the process that wanted the figures has gone: nobody else would end this one."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    job = Job(**json.loads(sys.argv[1]))
    file = Path(sys.argv[2])

    def write(samples: list[Sample]) -> None:
        """At once as a whole: whoever waits for the file need not wait for the end."""
        partial = file.with_suffix(".part")
        partial.write_text(json.dumps([asdict(sample) for sample in samples]))
        partial.rename(file)

    BenchApp(job, write).run()


if __name__ == "__main__":
    main()

"""The app that `bench monitor` measures: the workbench over an engine under load, looking at one thing or another.

Run as `python -m workbench.bench.monitor_app KIND SECONDS FILE`; writes one JSON object with the figures to FILE and
ends. Load, screen and probe share one loop, as engine and screen do in the workbench.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Sparkline, Static

from workbench import tui
from workbench.bench.monitor_load import LoadedEngine
from workbench.bench.ui_app import end_with, percentile_ms
from workbench.core.heap import settle_heap
from workbench.core.paths import CACHE_DIR_VARIABLE, CONFIG_DIR_VARIABLE, DATA_DIR_VARIABLE, STATE_DIR_VARIABLE
from workbench.core.settings import Settings
from workbench.engine.limiter_stats import LaneStats
from workbench.engine.records import LaneTraffic
from workbench.engine.timeline import Span
from workbench.session import figures
from workbench.tui.app import WorkbenchApp
from workbench.tui.host import OpenEngine
from workbench.tui.screens.area import TIMES_EVERY

SETTLING_S = 2.5
KEY_EVERY_S = 0.3
PROBE_EVERY_S = 0.017
IDLE_S = 0.000_2
"""A frame that was done so quickly had nothing to draw."""
NOMINAL_TTFT_S = 0.4
"""What a stamp's lateness is set against: a quick model's."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run measured: a share of one core, milliseconds, seconds."""

    cpu: float
    """Of the whole process, without what the events themselves cost: that varies by more than a screen comes to."""
    frame_p95: float
    """CPU of this thread for one look and for one frame, whichever took longer; waiting for others does not count."""
    key_p95: float
    """From a key to the frame that shows it."""
    ttft_s: float
    """What a first token after 0.4 s is measured as, p50."""


class Probe:
    """Bytes that arrive at a known moment, from a thread of their own; how late this loop sees them is what a stamp
    taken here is wrong by."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._here, self._arrived)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        asyncio.get_running_loop().remove_reader(self._here)
        self._here.close()
        self._there.close()

    def _send(self) -> None:
        while not self._stop.wait(PROBE_EVERY_S):
            self._there.send(struct.pack("d", time.perf_counter()))

    def _arrived(self) -> None:
        now = time.perf_counter()
        data = self._here.recv(4096)
        self.late_s += [now - sent for (sent,) in struct.iter_unpack("d", data[: len(data) // 8 * 8])]


class Frames:
    """What looks and frames cost; when keys were pressed and when they showed."""

    def __init__(self) -> None:
        self.costs_s: list[float] = []
        self.keys_s: list[float] = []
        self._key_pressed: float | None = None

    def timed(self, work: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any, **options: Any) -> None:
            began = time.thread_time()
            work(*args, **options)
            self.costs_s.append(time.thread_time() - began)

        return run

    def watch(self, screen: Any) -> None:
        """Time whatever this screen draws. Private, and where Textual does so; a frame has no other beginning."""
        screen._on_timer_update = self.timed(screen._on_timer_update)

    def key(self) -> None:
        self._key_pressed = time.perf_counter()

    def written(self) -> None:
        if self._key_pressed is not None:
            self.keys_s.append(time.perf_counter() - self._key_pressed)
            self._key_pressed = None


async def measure(app: App[Any], engine: LoadedEngine, frames: Frames, seconds: float) -> Sample:
    """Watch an app that is at work for some seconds, pressing a key now and then."""
    gc.collect()
    settle_heap()
    probe = Probe()
    probe.start()
    cpu, began = time.process_time() - engine.fed_s, time.perf_counter()
    number = 0
    while time.perf_counter() - began < seconds:
        key = ("down", "up")[number % 2]
        number += 1
        frames.key()
        app.post_message(events.Key(key, None))
        await asyncio.sleep(KEY_EVERY_S)
    cpu, wall = time.process_time() - engine.fed_s - cpu, time.perf_counter() - began
    probe.stop()
    return Sample(
        cpu=cpu / wall,
        frame_p95=percentile_ms([cost for cost in frames.costs_s if cost > IDLE_S], 0.95),
        key_p95=percentile_ms(frames.keys_s, 0.95),
        ttft_s=NOMINAL_TTFT_S + percentile_ms(probe.late_s, 0.50) / 1e3,
    )


class Watched(WorkbenchApp):
    """The workbench itself, with the monitor `open`, `behind` another area, or `closed`: never opened."""

    # Relative to the class that is run, which is not where the style sheets are.
    CSS_PATH: ClassVar[list[str]] = [str(Path(tui.__file__).parent / path) for path in WorkbenchApp.CSS_PATH]

    def __init__(self, kind: str, seconds: float, root: Path) -> None:
        self._kind, self._seconds = kind, seconds
        self._frames_seen = Frames()
        self._engine = LoadedEngine()
        self.sample: Sample | None = None
        names = (CONFIG_DIR_VARIABLE, CACHE_DIR_VARIABLE, STATE_DIR_VARIABLE, DATA_DIR_VARIABLE)
        environ = {name: str(root / name.lower()) for name in names}

        @asynccontextmanager
        async def opened(demo: bool) -> AsyncIterator[OpenEngine]:
            yield OpenEngine(self._engine, Settings(), environ, demo)

        super().__init__(Settings(), environ=environ, models=("gpt-5.4",), opener=opened)

    def on_mount(self) -> None:
        self.run_worker(self._engine.run(), group="load")
        self.run_worker(self._watch(), group="measure")

    def post_display_hook(self) -> None:
        self._frames_seen.written()

    async def _watch(self) -> None:
        await asyncio.sleep(SETTLING_S)
        if self._kind != "closed":
            self.action_go_to("monitor")
            await asyncio.sleep(1.0)
            screen: Any = self.area_screen
            screen.look = self._frames_seen.timed(screen.look)
            self._frames_seen.watch(screen)
        if self._kind == "behind":
            self.action_go_to("compare")
        await asyncio.sleep(SETTLING_S)
        self.sample = await measure(self, self._engine, self._frames_seen, self._seconds)
        self.exit()


class Widgets(App[None]):
    """The peer: the same figures at the same pace in Textual's own DataTable and Sparkline; `bare`: the load alone.

    It reads the engine as the monitor does, counters four times a second and times once, and is charged for nothing
    that it does not show: no diagnosis, no order of lanes, no log. Its cells of times are set when they were read.
    """

    def __init__(self, kind: str, seconds: float) -> None:
        super().__init__()
        self._kind, self._seconds = kind, seconds
        self._frames_seen = Frames()
        self._engine = LoadedEngine()
        self._ticks = 0
        self.sample: Sample | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="strip")
        yield DataTable(cursor_type="row")
        for name in ("in-flight", "tokens", "ttft", "refusals"):
            yield Sparkline([], id=name)

    def on_mount(self) -> None:
        self._table: DataTable[str] = self.query_one(DataTable)
        self._table.add_columns("lane", "flight", "requests", "tokens", "429", "p50", "p95", "p99", "TPOT", "tok/s")
        self.run_worker(self._engine.run(), group="load")
        self.run_worker(self._watch(), group="measure")
        if self._kind != "bare":
            self._frames_seen.watch(self.screen)
            self.set_interval(0.25, self._frames_seen.timed(self._look))

    def post_display_hook(self) -> None:
        self._frames_seen.written()

    def _look(self) -> None:
        self._ticks += 1
        whole = self._ticks % TIMES_EVERY == 0
        seen = self._engine.statistics(times=whole)
        assert seen.limits is not None
        self.query_one("#strip", Static).update(
            f"in flight {seen.traffic.in_flight} · ~{seen.traffic.tokens_per_s:.0f}"
        )
        if not self._table.row_count:
            for lane in seen.limits.lanes:
                self._table.add_row(*[""] * 10, key=lane.name)
        for index, lane in enumerate(seen.limits.lanes):
            for column, text in _cells(lane, seen.traffic.by_lane[lane.name], whole=whole):
                if self._table.get_cell_at((index, column)) != text:  # type: ignore[arg-type]  # a pair is a Coordinate
                    self._table.update_cell_at((index, column), text)  # type: ignore[arg-type]  # as above
        if whole:
            series = self._engine.series(Span.MINUTE)
            for name, values in (
                ("in-flight", series.in_flight),
                ("tokens", series.tokens_per_s),
                ("ttft", series.ttft_p50_s),
                ("refusals", series.refusals),
            ):
                self.query_one(f"#{name}", Sparkline).data = [value or 0.0 for value in values]

    async def _watch(self) -> None:
        await asyncio.sleep(2 * SETTLING_S)
        self._table.focus()
        self.sample = await measure(self, self._engine, self._frames_seen, self._seconds)
        self.exit()


def _cells(lane: LaneStats, traffic: LaneTraffic, *, whole: bool) -> Iterator[tuple[int, str]]:
    """Columns and what stands in them; `whole` for times as well."""
    yield 0, lane.name
    yield 1, f"{lane.in_flight}/{lane.window}"
    for column, one in enumerate(lane.dimensions, 2):
        yield column, f"{one.used:,.0f}/{one.pace:,.0f}"
    yield 4, f"{traffic.refusals_window}"
    if whole:
        times = (traffic.ttft_s.p50, traffic.ttft_s.p95, traffic.ttft_s.p99, traffic.tpot_s.p50)
        for column, value in enumerate(times, 5):
            yield column, figures.seconds(value)
    yield 9, f"~{traffic.tokens_per_s:,.0f}"


def main() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    kind, seconds, result = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="llm-workbench-bench-") as root:
        app = Widgets(kind, seconds) if kind in ("widgets", "bare") else Watched(kind, seconds, Path(root))
        app.run()
    assert app.sample is not None
    result.write_text(json.dumps(asdict(app.sample)))


if __name__ == "__main__":
    main()

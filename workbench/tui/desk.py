"""What every screen works with, passed in by the app: memory, the comparison, the engine, the clocks."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.core.clock import Clock
from workbench.core.paths import Paths
from workbench.session.comparison import Comparison
from workbench.session.memory import Memory
from workbench.tui.autosave import Autosave
from workbench.tui.engine_room import EngineRoom
from workbench.tui.frame import FrameClock
from workbench.tui.glyphs import Glyphs


@dataclass(frozen=True, slots=True)
class Desk:
    paths: Paths
    memory: Memory
    autosave: Autosave
    clock: Clock
    comparison: Comparison
    engine: EngineRoom
    frames: FrameClock
    glyphs: Glyphs

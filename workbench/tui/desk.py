"""What every screen works with, passed in by the app: choices, memory, the comparison, the engine's host, the clock."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.core.clock import Clock
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.session.comparison import Comparison
from workbench.session.memory import Memory
from workbench.tui.frame import FrameClock
from workbench.tui.glyphs import Glyphs
from workbench.tui.host import EngineHost


@dataclass(frozen=True, slots=True)
class Desk:
    settings: Settings
    paths: Paths
    memory: Memory
    clock: Clock
    comparison: Comparison
    host: EngineHost
    frames: FrameClock
    glyphs: Glyphs

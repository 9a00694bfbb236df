"""What holds for one run of the program, whichever command it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.core.paths import Paths
    from workbench.core.settings import Settings


@dataclass(slots=True)
class Invocation:
    environ: Mapping[str, str]
    config: Path | None = None
    """The settings file that was named on the command line."""

    def settings(self) -> Settings:
        """Raises ConfigError."""
        # Imported here, as below: `--help` has no use for it.
        from workbench.core.settings import load_settings

        return load_settings(self.config, self.environ)

    def paths(self) -> Paths:
        from workbench.core.paths import Paths

        return Paths.from_environment(self.environ)

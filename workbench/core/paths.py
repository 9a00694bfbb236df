"""Where files live: one directory each for configuration, cache, state and data, by the platform's own customs.

Nothing is created at import or when a path is asked for; `private_directory` makes a directory, readable by its owner
alone, at the moment something is about to be written there. Each directory has a variable that overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import ConfigError

APP_NAME = "llm-workbench"

CONFIG_DIR_VARIABLE = "LLM_CONFIG_DIR"
CACHE_DIR_VARIABLE = "LLM_CACHE_DIR"
STATE_DIR_VARIABLE = "LLM_STATE_DIR"
DATA_DIR_VARIABLE = "LLM_DATA_DIR"


@dataclass(frozen=True, slots=True)
class Paths:
    config: Path
    """`config.toml`, `prices.toml`, `themes/`: written by a person."""
    cache: Path
    """May be deleted at any time: stored answers."""
    state: Path
    """Locks shared between processes, logs."""
    data: Path
    """Runs, conversations, jobs: what a person would miss."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Paths:
        # platformdirs is imported here since `--help` needs no paths.
        from platformdirs import PlatformDirs

        platform = PlatformDirs(APP_NAME, appauthor=False)
        return cls(
            config=_chosen(environ, CONFIG_DIR_VARIABLE, platform.user_config_dir),
            cache=_chosen(environ, CACHE_DIR_VARIABLE, platform.user_cache_dir),
            state=_chosen(environ, STATE_DIR_VARIABLE, platform.user_state_dir),
            data=_chosen(environ, DATA_DIR_VARIABLE, platform.user_data_dir),
        )

    @classmethod
    def under(cls, root: Path) -> Paths:
        """Everything below one directory: for a demo or a test that must leave nothing behind."""
        return cls(root / "config", root / "cache", root / "state", root / "data")

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def prices_file(self) -> Path:
        return self.config / "prices.toml"

    @property
    def themes(self) -> Path:
        """A person's own themes, beside the ones that ship with the package."""
        return self.config / "themes"

    @property
    def responses(self) -> Path:
        """The response cache."""
        return self.cache / "responses"

    @property
    def questions(self) -> Path:
        """The semantic cache."""
        return self.cache / "questions.sqlite3"

    @property
    def locks(self) -> Path:
        """File locks of the cap that processes share."""
        return self.state / "locks"

    @property
    def running(self) -> Path:
        """Sockets of the processes that are running, which tell how their keys stand."""
        return self.state / "running"

    @property
    def database(self) -> Path:
        """Runs, conversations, prompts, votes and jobs."""
        return self.data / "workbench.sqlite3"


def private_directory(path: Path) -> Path:
    """Create `path` and its missing parents with mode 0700 and return it; an existing one is left as it is.

    Raises ConfigError when that is impossible, naming the directory and the reason.
    """
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        for directory in reversed(missing):
            # exist_ok: another process may be starting at the same moment.
            directory.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(20, "a file is in its place")
    except OSError as exc:
        raise ConfigError(
            f"Cannot create the directory {path}: {exc.strerror or exc}.",
            hint=f"Free the way, or set {CONFIG_DIR_VARIABLE}, {CACHE_DIR_VARIABLE}, {STATE_DIR_VARIABLE} or "
            f"{DATA_DIR_VARIABLE} to somewhere writable.",
        ) from exc
    return path


def _chosen(environ: Mapping[str, str], variable: str, default: str) -> Path:
    return Path(environ.get(variable) or default).expanduser()

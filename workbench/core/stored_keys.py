"""Keys that a person pasted into the program: one private file beside the settings, written by the program alone.

The settings file belongs to the person and is never rewritten; this one is `keys.toml`, mode 0600, provider row to
keys. Reading it is part of loading the settings.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from workbench.core.errors import ConfigError
from workbench.core.paths import private_directory


def stored_keys_file(config: Path) -> Path:
    return config / "keys.toml"


def read_stored_keys(path: Path) -> dict[str, tuple[str, ...]]:
    """Keys by provider row; empty without a file. Raises ConfigError for a file that is something else.

    What is wrong is said without repeating the file's text, which holds secrets.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}).") from exc
    except ValueError:
        # `from None`: the original message may quote a line, and with it a key.
        raise ConfigError(f"{path}: not TOML.", hint="Remove it and paste the keys again.") from None
    keys: dict[str, tuple[str, ...]] = {}
    for provider, values in tables.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ConfigError(f"{path}: {provider}: expected a list of keys.")
        keys[provider] = tuple(values)
    return keys


def store_key(path: Path, provider: str, secret: str) -> None:
    """Add a key to the file, keeping those that are there. Raises ConfigError when it cannot be written."""
    stored = read_stored_keys(path)
    known = stored.get(provider, ())
    stored[provider] = (*(key for key in known if key != secret), secret)
    private_directory(path.parent)
    temporary = path.with_suffix(".tmp")
    try:
        # Created private: between creating a file and changing its mode anyone could open it.
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(_as_toml(stored))
        temporary.replace(path)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written ({exc.strerror}).") from exc


def _as_toml(keys: Mapping[str, tuple[str, ...]]) -> str:
    # A JSON string is a TOML basic string, and a JSON list of them a TOML list.
    lines = [f"{json.dumps(provider)} = {json.dumps(list(values))}" for provider, values in sorted(keys.items())]
    return "# Written by llm-workbench. Holds secrets: keep it private.\n" + "\n".join(lines) + "\n"

"""`Params` from loose names and values, as they come from a settings file, a shell option or an editor field."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from workbench.core.errors import UsageError
from workbench.core.types import Json, Params

_NUMBERS = ("temperature", "top_p")
_WHOLE_NUMBERS = ("max_tokens", "seed", "thinking_budget")


def params_from(values: Mapping[str, Json]) -> Params:
    """Known names become fields; anything else goes into `extra`, sorted by name, and to the wire as it is.

    Raises UsageError when a known name has a value of the wrong kind.
    """
    known: dict[str, Any] = {}
    extra: list[tuple[str, Json]] = []
    for name, value in sorted(values.items()):
        if name in _NUMBERS:
            known[name] = _number(name, value)
        elif name in _WHOLE_NUMBERS:
            known[name] = _whole_number(name, value)
            if name == "max_tokens" and known[name] < 1:
                raise _wrong(name, "a whole number >= 1", value)
        elif name == "reasoning_effort":
            known[name] = _text(name, value)
        elif name == "stop":
            known[name] = _texts(name, value)
        else:
            extra.append((name, value))
    return Params(**known, extra=tuple(extra))


def _number(name: str, value: Json) -> float:
    # bool is an int to Python; to a person `temperature = true` is a slip.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    raise _wrong(name, "a number", value)


def _whole_number(name: str, value: Json) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(name, "a whole number", value)


def _text(name: str, value: Json) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(name, "text", value)


def _texts(name: str, value: Json) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
        return tuple(str(item) for item in items)
    raise _wrong(name, "text or a list of texts", value)


def _wrong(name: str, expected: str, value: Json) -> UsageError:
    return UsageError(f"Parameter {name}: expected {expected}, got {value!r}.")

"""`{{name}}` in a prompt, filled from a row. Nothing else: no logic, no filters, no escapes to learn."""

from __future__ import annotations

import re
from collections.abc import Mapping

from workbench.core.errors import UsageError

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")


def variables_of(template: str) -> tuple[str, ...]:
    """Names in the order of their first use."""
    return tuple(dict.fromkeys(_VARIABLE.findall(template)))


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with each variable replaced once; a value that itself looks like a variable stays as it is.

    Raises UsageError naming the variables that have no value.
    """
    missing = [name for name in variables_of(template) if name not in values]
    if missing:
        known = f" It has {', '.join(sorted(values))}." if values else ""
        raise UsageError(f"no value for {', '.join(f'{{{{{name}}}}}' for name in missing)}.{known}")
    return _VARIABLE.sub(lambda match: _text(values[match[1]]), template)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)

"""An answer whose counts of tokens are nonsense is an answer all the same: nobody's text is lost over its bill.

Only asked when reading an event strictly has failed, so that the many that are as they should be cost nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from workbench.core.decoding import NOT_JSON

if TYPE_CHECKING:
    from workbench.providers.dialogue import Facts

T = TypeVar("T")

_COUNTS: Final = frozenset({"usage", "usageMetadata"})


def read_odd(data: bytes, shape: type[T], facts: Facts) -> T:
    """One event or body, its numbers also where they are written as text or as `5.0`; where that is not all that is
    odd, without its counts, as if the provider had not counted. Raises MalformedResponse when that does not help."""
    try:
        return _read(data, shape)
    except NOT_JSON as exc:
        raise facts.malformed(data) from exc


def _read(data: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=shape, strict=False)
    except msgspec.ValidationError:
        return msgspec.convert(_uncounted(msgspec.json.decode(data)), shape, strict=False)


def _uncounted(value: Any, depth: int = 1) -> Any:
    """Counts stand in the event itself, or in the `message` or `response` that it holds."""
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in _COUNTS}
    return {name: _uncounted(inner, depth - 1) for name, inner in kept.items()} if depth else kept

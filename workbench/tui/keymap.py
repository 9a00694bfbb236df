"""Keys of a person's own: which bindings there are by id, and whether what the settings say about them makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from textual.binding import Binding
from textual.dom import DOMNode


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One action with a key: a line of the cheat sheet, a name for the settings."""

    id: str
    keys: str
    """Comma-separated, in Textual's spelling."""
    description: str
    tooltip: str
    action: str


def entries(nodes: Mapping[str, type[DOMNode]]) -> dict[str, list[KeyEntry]]:
    """Every binding with an id, by the given titles of the classes that have them."""
    return {title: list(_entries_of(node)) for title, node in nodes.items()}


def _entries_of(node: type[DOMNode]) -> Iterator[KeyEntry]:
    for binding in node.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.id:
            yield KeyEntry(binding.id, binding.key, binding.description, binding.tooltip, binding.action)


def check_keymap(keymap: Mapping[str, str], known: set[str]) -> list[str]:
    """What is wrong with a keymap, in sentences; an empty list is fine."""
    problems = []
    for binding_id, keys in keymap.items():
        if binding_id not in known:
            close = get_close_matches(binding_id, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            problems.append(f"ui.keymap: there is no key called {binding_id!r}.{hint}")
        elif not all(key.strip() for key in keys.split(",")):
            problems.append(f"ui.keymap.{binding_id}: expected keys with commas between them, not {keys!r}.")
    return problems

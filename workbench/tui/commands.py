"""The palette: every action that has a key, and the few that have none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp

_UNSUITED = frozenset({"compare.escape", "prompt.enter", "prompt.line-feed", "prompt.new-line", "app.keys"})
"""Keys that mean nothing away from where they are pressed."""


def commands(app: WorkbenchApp) -> Iterator[SystemCommand]:
    """What can be done now, most local first. Names are short; the key stands in the description."""
    screen = app.screen_below or app.area_screen
    pane = app.compare.deck.current_pane if screen is app.compare else None
    nodes: list[DOMNode] = [screen, app] if pane is None else [pane.view, pane, screen, app]
    said: set[str] = set()
    for node in nodes:
        for binding in _bindings(node):
            if binding.id in _UNSUITED or binding.action in said or not _works(app, node, binding):
                continue
            said.add(binding.action)
            about = binding.tooltip or binding.description
            first_key = binding.with_key(binding.key.partition(",")[0], binding.key_display)
            yield SystemCommand(
                _name(binding, node, pane is not None and node in (pane, pane.view), app),
                f"{about} ({app.get_key_display(first_key)})",
                partial(app.run_action, binding.action, node),
            )
    for area in app.areas:
        if area.mode != app.current_mode:
            yield SystemCommand(
                f"Go to {area.name}", f"{area.about} (^t {area.key})", partial(app.switch_mode, area.mode)
            )
    yield SystemCommand("Theme", "Change the colours, with a preview", app.action_change_theme)
    yield SystemCommand("Spend cap", "How much this session may cost before it pauses", app.spend_cap.choose)
    if screen is app.compare:
        yield from _of_compare(app)
    yield SystemCommand("Paste key", "Add a provider's key", app.choices.paste_key)
    if app.desk.engine.is_demo:
        yield SystemCommand(
            "Simulated key", "One more account at every simulated provider", app.choices.add_simulated_key
        )
        yield SystemCommand("Leave demo", "Ask real models again", app.choices.leave_demo)
    else:
        yield SystemCommand("Demo", "Watch simulated models", app.choices.start_demo)
    yield SystemCommand("Screenshot", "Save the screen as SVG", app.deliver_screenshot)


def _of_compare(app: WorkbenchApp) -> Iterator[SystemCommand]:
    """What would change things out of sight if it were offered elsewhere."""
    yield SystemCommand("System prompt", "Write what every model is told first", app.compare.action_focus_system)
    yield SystemCommand("Copy comparison", "All conversations as Markdown", app.compare.action_copy_comparison)
    yield SystemCommand("Open file", "Put a text file into the prompt", app.errands.open_file)
    for name, line_up in app.desk.memory.line_ups.items():
        models = ", ".join(target.name for target in line_up)
        yield SystemCommand(f"Line-up: {name}", models, partial(app.choices.change_line_up, line_up))


def _bindings(node: DOMNode) -> Iterator[Binding]:
    for base in type(node).__mro__:
        for binding in base.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                yield binding


def _works(app: WorkbenchApp, node: DOMNode, binding: Binding) -> bool:
    return not binding.action.startswith("focus_lane") and bool(app._check_action_state(binding.action, node))


def _name(binding: Binding, node: DOMNode, of_pane: bool, app: WorkbenchApp) -> str:
    """The description, with the model it is about where that is not plain."""
    pane = app.compare.deck.current_pane
    return f"{binding.description} ({pane.lane.target.name})" if of_pane and pane is not None else binding.description

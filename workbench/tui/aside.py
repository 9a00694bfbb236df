"""Work on the side, owned by a screen or a widget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.dom import DOMNode


def aside(
    node: DOMNode, work: Callable[[], Awaitable[None]], *, group: str = "default", exclusive: bool = False
) -> None:
    """Run `work` for as long as `node` is there; what goes wrong in it is told by the app, and ends nothing else.

    With `exclusive` it takes the place of what is under way in its group.
    """
    node.run_worker(work, group=group, exclusive=exclusive, exit_on_error=False)

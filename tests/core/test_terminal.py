from __future__ import annotations

import io

import pytest

from workbench.core.terminal import redraws


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "term", "answer"),
    [
        (Terminal(), "xterm", True),
        (Terminal(), "dumb", False),
        (Terminal(), None, True),
        (io.StringIO(), "xterm", False),
    ],
    ids=["terminal", "dumb terminal", "unnamed terminal", "pipe"],
)
def test_a_line_is_drawn_over_where_that_can_be_done(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str | None, answer: bool
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)

    assert redraws(stream) is answer

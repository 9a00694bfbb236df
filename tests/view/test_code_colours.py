from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.tui.markdown.code_colours import LONGEST, CodeColours

FOREVER = float("inf")


def at_once(function: Callable[[], None]) -> None:
    function()


def test_tokens_of_a_line_make_up_the_line():
    colours = CodeColours(at_once)
    code = 'def f(x):\n    """Doc\n    string."""\n\n    return x + 1  # why'

    colours.add(7, "python", code)

    assert colours.step(FOREVER) == [7]
    assert ["".join(text for text, _ in line) for line in colours.tokens(7)] == code.split("\n")
    assert colours.tokens(7)[0] == [
        ("def", "code-keyword"),
        (" ", ""),
        ("f", "code-function"),
        ("(", ""),
        ("x", ""),
        (")", ""),
        (":", ""),
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab(\"'#\n \t\\{}é漢", max_size=60), st.sampled_from(["python", "json", "sql", "html", "text"]))
def test_no_character_of_the_code_is_lost_or_moved(code, language):
    colours = CodeColours(at_once)

    colours.add(0, language, code)
    colours.step(FOREVER)

    if code.strip():
        assert "\n".join("".join(text for text, _ in line) for line in colours.tokens(0)) == code


def test_work_is_done_in_slices():
    colours = CodeColours(at_once)
    colours.add(0, "python", "x = 1\n" * 1000)

    slices = 0
    while not colours.step(0.0 if not slices else FOREVER):
        slices += 1
        assert colours.is_busy

    assert slices == 1


def test_nothing_happens_until_the_lexer_is_loaded():
    started: list[Callable[[], None]] = []
    colours = CodeColours(started.append)
    colours.add(0, "python", "x = 1")

    assert not colours.is_busy
    assert colours.step(FOREVER) == []

    started[0]()

    assert colours.is_busy
    assert colours.step(FOREVER) == [0]


def test_a_language_is_loaded_once_and_unknown_ones_stay_plain():
    started: list[Callable[[], None]] = []
    colours = CodeColours(started.append)
    for key, language in enumerate(["Python", "python", "no-such-language", ""]):
        colours.add(key, language, "x = 1")
    for function in started:
        function()

    assert len(started) == 2
    assert colours.step(FOREVER) == [0, 1]
    assert not colours.is_busy
    assert colours.tokens(2) is None


def test_an_enormous_block_stays_plain():
    colours = CodeColours(at_once)

    colours.add(0, "python", "x" * (LONGEST + 1))

    assert not colours.is_busy

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.text import LONGEST_STRING, ControlStripper, strip_control

HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [
                "\x1b",
                "[",
                "]",
                "31m",
                "\x07",
                "\x1b\\",
                "\x9b",
                "\x9d",
                "8;;http://x",
                "(B",
                "P",
                "\x00",
                "\r",
                "\n",
                "\t",
            ]
        ),
        st.sampled_from(["\u202e", "\u2066", "\u2069", "\ud83d", "\ude00", "é", "👩\u200d🚀", "abc def"]),
    ),
    max_size=20,
).map("".join)
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        pytest.param(
            "plain\n\ttext é 漢字 👩\u200d🚀", "plain\n\ttext é 漢字 👩\u200d🚀", id="ordinary text is untouched"
        ),
        pytest.param("\x1b[1;31mred\x1b[0m", "red", id="colours"),
        pytest.param("\x9b2Jclear", "clear", id="8-bit CSI"),
        pytest.param("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab", id="OSC by BEL and by ST"),
        pytest.param("\x9d52;c;AAAA\x9cx", "x", id="8-bit OSC and ST"),
        pytest.param("\x1bPq#0;2\x1b\\x", "x", id="DCS"),
        pytest.param("\x1b(Ba\x1bcb", "ab", id="charset and reset"),
        pytest.param("a\x1b]0;never ends\nb", "a0;never ends\nb", id="an open OSC loses its introducer only"),
        pytest.param(
            "a\x1b]" + "y" * (LONGEST_STRING + 1) + "\x07b", "a" + "y" * (LONGEST_STRING + 1) + "b", id="long"
        ),
        pytest.param("a\r\nb\x08\x7f\x85c", "a\nbc", id="single controls"),
        pytest.param("x\u202eevil\u202c\u2066y\u2069", "xevily", id="bidi overrides and isolates"),
        pytest.param("\ud83d\ude00 \ud83d \ude00", "😀 \ufffd \ufffd", id="surrogates"),
        pytest.param("end\x1b[3", "end", id="cut inside CSI"),
        pytest.param("end\x1b", "end", id="cut after ESC"),
    ],
)
def test_control_codes_go_and_text_stays(given_text, shown):
    assert strip_control(given_text) == shown


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_nothing_forbidden_survives_and_a_second_pass_changes_nothing(text):
    shown = strip_control(text)

    assert not FORBIDDEN.search(shown)
    assert strip_control(shown) == shown


@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.data())
def test_any_cutting_gives_the_same_text(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stripper = ControlStripper()

    shown = "".join(map(stripper.feed, pieces)) + stripper.finish()

    assert shown == strip_control(text)


@settings(max_examples=50, deadline=None)
@given(st.integers(LONGEST_STRING - 3, LONGEST_STRING + 3), st.integers(1, 700))
def test_a_long_control_string_is_judged_the_same_in_pieces(payload, step):
    text = "a\x1b]" + "y" * payload + "\x1b\\b"
    stripper = ControlStripper()

    shown = "".join(stripper.feed(text[i : i + step]) for i in range(0, len(text), step)) + stripper.finish()

    assert shown == strip_control(text)


def test_text_without_controls_is_passed_on_as_the_same_object():
    piece = "ordinary " * 100

    assert ControlStripper().feed(piece) is piece

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from workbench.tui.markdown.guess import guessing, missing_end
from workbench.tui.markdown.inline import InlineParser, Run, normalise_label

REFERENCES = {normalise_label("ref"): ("https://ref.example", "")}
PARSE = InlineParser(REFERENCES).parse

BITS = [
    "word",
    " ",
    "*",
    "**",
    "_",
    "`",
    "``",
    "[",
    "](https://x.y)",
    "](https://x.y 'T')",
    "[ref]",
    "](",
    "~~",
    "\\*",
    "&amp;",
    "<br>",
    "<b>",
    "\n",
    "$",
    "x",
    "https://a.b/c",
    "<https://d.e>",
    "![alt](https://i.j)",
    "漢字",
    "\\",
]
CONTENTS = st.lists(st.sampled_from(BITS), max_size=14).map("".join).map(str.strip)


@settings(max_examples=500, deadline=None)
@given(CONTENTS)
def test_runs_stand_for_the_source_in_order(content):
    runs = PARSE(content)

    at = 0
    for run in runs:
        assert at <= run.start <= run.end <= len(content)
        at = run.end


@settings(max_examples=500, deadline=None)
@given(CONTENTS.filter(lambda content: "https" not in content and "$" not in content and "\\" not in content))
def test_text_shown_is_text_found_at_its_place(content):
    for run in PARSE(content):
        if len(run.text) == run.end - run.start and run.text != " ":
            assert run.text.replace("\n", " ") == content[run.start : run.end].replace("\n", " ")


@settings(max_examples=300, deadline=None)
@given(CONTENTS.filter(lambda content: "$" not in content and "\\[" not in content))
def test_the_text_shown_is_the_one_of_markdown_it(content):
    markdown = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["strikethrough", "linkify"])
    tokens: list = []
    markdown.inline.parse(
        content, markdown, {"references": {"REF": {"href": "https://ref.example", "title": ""}}}, tokens
    )
    expected = ""
    for token in tokens:
        for part in token.children if token.type == "image" else [token]:
            breaks = part.type == "hardbreak" or (part.type == "html_inline" and part.content == "<br>")
            expected += "\n" if breaks else " " if part.type == "softbreak" else part.content
    if any(token.type == "image" and not token.children for token in tokens):
        return

    assert "".join(run.text for run in PARSE(content)) == expected


@pytest.mark.parametrize(
    ("content", "runs"),
    [
        pytest.param("a **b** c", [Run("a ", 0, 2), Run("b", 4, 5, ("strong",)), Run(" c", 7, 9)], id="strong"),
        pytest.param("`\n`", [Run(" ", 1, 2, ("code-inline",))], id="code span of a line end"),
        pytest.param("*a **b***", [Run("a ", 1, 3, ("em",)), Run("b", 5, 6, ("em", "strong"))], id="nested"),
        pytest.param("`` a`b ``", [Run("a`b", 3, 6, ("code-inline",))], id="code span with a backtick"),
        pytest.param(
            "`a\nb`",
            [Run("a", 1, 2, ("code-inline",)), Run(" ", 2, 3, ("code-inline",)), Run("b", 3, 4, ("code-inline",))],
            id="code span over two lines",
        ),
        pytest.param(
            "[a](https://a 't') a",
            [Run("a", 1, 2, ("link",), "https://a"), Run(" a", 18, 20)],
            id="the word in a link is not looked for in its target",
        ),
        pytest.param("[a][ref]", [Run("a", 1, 2, ("link",), "https://ref.example")], id="reference"),
        pytest.param("[ref]b", [Run("ref", 1, 4, ("link",), "https://ref.example"), Run("b", 5, 6)], id="shortcut"),
        pytest.param(
            "[ref][[ref]",
            [
                Run("ref", 1, 4, ("link",), "https://ref.example"),
                Run("[", 5, 6),
                Run("ref", 7, 10, ("link",), "https://ref.example"),
            ],
            id="a bracket after a shortcut",
        ),
        pytest.param("<https://a.b>", [Run("https://a.b", 1, 12, ("link",), "https://a.b")], id="autolink"),
        pytest.param(
            "x https://a.b.",
            [Run("x ", 0, 2), Run("https://a.b", 2, 13, ("link",), "https://a.b"), Run(".", 13, 14)],
            id="bare",
        ),
        pytest.param("[x](javascript:alert)", [Run("[x](javascript:alert)", 0, 21)], id="no script becomes a link"),
        pytest.param("[x](file:///etc)", [Run("[x](file:///etc)", 0, 16)], id="no file becomes a link"),
        pytest.param("![p](https://i.j)", [Run("p", 2, 3, ("image",), "https://i.j")], id="image"),
        pytest.param("a &amp; b", [Run("a ", 0, 2), Run("&", 2, 7), Run(" b", 7, 9)], id="entity"),
        pytest.param("\\*a", [Run("*", 0, 2), Run("a", 2, 3)], id="escape"),
        pytest.param("a<br>b", [Run("a", 0, 1), Run("\n", 1, 5, ("html",)), Run("b", 5, 6)], id="a break tag breaks"),
        pytest.param("$x^2$ for $5", [Run("x²", 0, 5, ("maths",)), Run(" for $5", 5, 12)], id="maths and money"),
        pytest.param("\\(a\\)", [Run("a", 0, 5, ("maths",))], id="maths in brackets"),
        pytest.param("$5 and $6", [Run("$5 and $6", 0, 9)], id="money only"),
    ],
)
def test_runs_of(content, runs):
    assert list(PARSE(content)) == runs


@pytest.mark.parametrize(
    ("content", "shown", "closing"),
    [
        ("a **bo", "a **bo", "**"),
        ("x *it **st", "x *it **st", "***"),
        ("and `co", "and `co", "`"),
        ("a ``b ` c", "a ``b ` c", "``"),
        ("`*` and *em", "`*` and *em", "*"),
        ("see [this](https://ex", "see [this](https://ex", ")"),
        ("2 * 3", "2 * 3", ""),
        ("snake_case_name", "snake_case_name", ""),
        ("so **", "so ", ""),
        ("a \\*b", "a \\*b", ""),
        ("**done** now", "**done** now", ""),
    ],
)
def test_what_is_missing_at_the_end(content, shown, closing):
    assert missing_end(content) == (shown, closing)


@settings(max_examples=300, deadline=None)
@given(CONTENTS)
def test_a_guess_shows_nothing_that_did_not_arrive(content):
    at = 0
    for run in guessing(PARSE)(content):
        assert at <= run.start <= run.end <= len(content)
        at = run.end


def test_a_word_in_bold_never_shows_its_marks_while_it_arrives():
    whole = "so **bold** it"
    shown = ["".join(run.text for run in guessing(PARSE)(whole[:length])) for length in range(len(whole) + 1)]

    assert not any("*" in text for text in shown)

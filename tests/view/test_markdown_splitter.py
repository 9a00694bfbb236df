from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from workbench.tui.markdown.blocks import Block, Item, Kind
from workbench.tui.markdown.open_end import PART_CHARS, PART_LINES
from workbench.tui.markdown.splitter import LONGEST_LINE, BlockSplitter

WORDS = ["", "", "text", "# head #", "#### deep", "```python", "```", "~~~~", "---", "===", "***", "*em* **st**"]
HTML = ["<div>", "</div>", "<!-- a", "-->", "<b>", "<pre>"]
TABLES = ["a | b", "| a | b |", "|---|---|", "|:-:|---|", "| 1 | `x\\|y` |"]
FLAT = st.tuples(st.sampled_from(["", "", "  ", "   ", "    "]), st.sampled_from(WORDS + HTML + TABLES)).map("".join)
NESTED = (
    st.tuples(
        st.lists(st.sampled_from(["  ", "> ", ">", "- ", "* ", "1. ", "2. ", "10) "]), max_size=3).map("".join),
        st.sampled_from(WORDS),
    )
    .map("".join)
    .filter(lambda line: not line.startswith("    "))
)
# markdown-it lets tables and HTML begin before containers, and takes a line indented by four after a quote or an item
# for code where CommonMark sees a lazy continuation. So those are compared at the top level only.
FLAT_DOCUMENTS = st.lists(FLAT, max_size=12).map("\n".join)
NESTED_DOCUMENTS = st.lists(NESTED, max_size=12).map("\n".join)
ANY_DOCUMENTS = st.lists(
    st.one_of(FLAT, NESTED, st.text(alphabet="ab -*`#>|$\\[]\t\n漢é", max_size=12)), max_size=10
).map("\n".join)


def split(text: str, pieces: list[str] | None = None) -> list[Block]:
    splitter = BlockSplitter()
    for piece in pieces if pieces is not None else [text]:
        splitter.feed(piece)
    return splitter.blocks + splitter.tail()


def leaves(text: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What CommonMark's reference order says: (kind, containers, content) of each leaf block, by markdown-it."""
    parser = MarkdownIt("commonmark").enable("table").disable("reference")
    found: list[tuple[str, tuple[str, ...], str]] = []
    path: list[str] = []
    numbers: list[int] = []
    tokens = parser.parse(text)
    for index, token in enumerate(tokens):
        match token.type:
            case "blockquote_open":
                path.append(">")
            case "ordered_list_open":
                numbers.append(int(token.attrGet("start") or (1 if token.attrGet("start") is None else 0)))
            case "bullet_list_open":
                numbers.append(-1)
            case "list_item_open":
                path.append(token.markup if numbers[-1] < 0 else f"{numbers[-1]}{token.markup}")
                numbers[-1] += numbers[-1] >= 0
                if tokens[index + 1].type == "list_item_close":
                    found.append(("empty", tuple(path), ""))
            case "blockquote_close" | "list_item_close":
                if token.type == "blockquote_close" and tokens[index - 1].type == "blockquote_open":
                    found.append(("empty", tuple(path), ""))
                path.pop()
            case "ordered_list_close" | "bullet_list_close":
                numbers.pop()
            case "paragraph_open" | "heading_open":
                # The inline parser drops what a continuation line is indented by; the splitter has done so already.
                lines = [line.lstrip(" \t") for line in tokens[index + 1].content.split("\n")]
                found.append((token.type.removesuffix("_open"), tuple(path), "\n".join(lines)))
            case "fence" | "code_block":
                found.append(("code", tuple(path), token.content.rstrip()))
            case "html_block":
                found.append(("html", tuple(path), token.content.rstrip()))
            case "hr":
                found.append(("rule", tuple(path), ""))
            case "table_open":
                found.append(("table", tuple(path), table_rows(tokens, index)))
            case _:
                pass
    return found


def table_rows(tokens: list[Token], start: int) -> str:
    rows = 0
    for token in tokens[start:]:
        rows += token.type == "tr_open"
        if token.type == "table_close":
            break
    return str(rows)


def ours(text: str) -> list[tuple[str, tuple[str, ...], str]]:
    found = []
    for block in split(text):
        path = tuple(
            ">" if not isinstance(c, Item) else c.marker if c.number is None else f"{c.number}{c.marker}"
            for c in block.containers
        )
        content = block.content(text)
        match block.kind:
            case Kind.TABLE:
                content = str(len(block.lines) - 1)
            case Kind.CODE:
                content = content.rstrip()
            case Kind.HTML:
                content = content.rstrip()
            case Kind.RULE:
                content = ""
            case _:
                content = content.strip()
        found.append((block.kind.value, path, content))
    return found


@settings(max_examples=400, deadline=None)
@given(FLAT_DOCUMENTS)
def test_blocks_at_the_top_level_are_those_of_commonmark(text):
    assert ours(text) == leaves(text)


@settings(max_examples=400, deadline=None)
@given(NESTED_DOCUMENTS)
def test_blocks_in_containers_are_those_of_commonmark(text):
    assert ours(text) == leaves(text)


CUTS = st.lists(st.integers(0, 400), max_size=30)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({min(c, len(text)) for c in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@settings(max_examples=300, deadline=None)
@given(ANY_DOCUMENTS, CUTS)
def test_any_chunking_gives_the_same_blocks(text, cuts):
    assert split(text, cut(text, cuts)) == split(text)


@settings(max_examples=300, deadline=None)
@given(ANY_DOCUMENTS)
def test_block_sources_make_up_the_text(text):
    blocks = split(text)
    starts = [block.start for block in blocks]

    sources = [text[a:b] for a, b in zip(starts, [*starts, len(text)][1:], strict=True)]

    assert starts == sorted(set(starts))
    assert "".join(sources) == (text if blocks else "")
    assert blocks or not text.strip()
    assert all(
        start <= line.start <= line.end <= start + len(source)
        for block, start, source in zip(blocks, starts, sources, strict=True)
        for line in block.lines
    )


@settings(max_examples=200, deadline=None)
@given(ANY_DOCUMENTS, CUTS)
def test_a_closed_block_never_changes(text, cuts):
    splitter = BlockSplitter()
    seen: list[Block] = []

    for piece in cut(text, cuts):
        splitter.feed(piece)
        assert splitter.blocks[: len(seen)] == seen
        seen = splitter.blocks.copy()


@settings(max_examples=100, deadline=None)
@given(ANY_DOCUMENTS)
def test_finishing_closes_exactly_the_tail(text):
    splitter = BlockSplitter()
    splitter.feed(text)
    expected = splitter.blocks + splitter.tail()

    splitter.finish()

    assert splitter.blocks == expected
    assert splitter.tail() == []


@pytest.mark.parametrize("piece", ["word " * 50, "words without end. " * 20, "漢字漢字。" * 30, "x" * 300])
@pytest.mark.parametrize("opening", ["", "```\n", "- ", "| a | b |\n|---|---|\n", "# ", "<pre>\n", "$$\n"])
@pytest.mark.parametrize("separator", ["", "\n"])
def test_no_block_grows_without_bound(opening, piece, separator):
    text = opening + separator.join([piece] * 100)

    blocks = split(text, [text[i : i + 97] for i in range(0, len(text), 97)])

    assert blocks == split(text)
    assert max(len(block.lines) for block in blocks) <= PART_LINES + 1
    assert max(len(block.content(text)) for block in blocks) <= PART_CHARS + LONGEST_LINE + 2


def test_parts_name_the_block_they_go_on_with():
    text = "```sql\n" + "select 1;\n" * 100 + "```\n\nafter"

    blocks = split(text)

    assert [(b.kind, b.is_part, b.first, b.info, len(b.lines)) for b in blocks] == [
        (Kind.CODE, False, 0, "sql", 48),
        (Kind.CODE, True, 0, "sql", 48),
        (Kind.CODE, True, 0, "sql", 4),
        (Kind.PARAGRAPH, False, blocks[3].start, "", 1),
    ]


def test_a_long_line_is_cut_after_a_sentence():
    text = "A sentence of some length is here. " * 100

    first, second = split(text)[:2]

    assert first.content(text).endswith("here. ")
    assert second.is_part
    assert len(first.content(text)) <= LONGEST_LINE


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("para\n| a | b |\n|---|---|\n| 1 | 2 |", ["paragraph", "table"], id="a table ends a paragraph"),
        pytest.param("- | a | b |\n  |---|---|\n  | 1 | 2 |", ["table"], id="a table in an item"),
        pytest.param("a | b\n|---|---|---|", ["paragraph"], id="a delimiter row that does not fit"),
        pytest.param("| a | b |\n|---|---|\n- x", ["table", "paragraph"], id="a list ends a table"),
        pytest.param("$$\nx^2\n$$\nafter", ["maths", "paragraph"], id="display maths"),
        pytest.param("$$ x $$\n\\[ y \\]\n", ["maths", "maths"], id="display maths on a line"),
        pytest.param("\\[\nx\n\\]", ["maths"], id="display maths in brackets"),
        pytest.param("$$ is money", ["paragraph"], id="dollars are not maths"),
        pytest.param("$$\nno end\n\ntext", ["maths", "paragraph"], id="a blank line ends maths"),
        pytest.param("[a]: http://x\n[b]: <y> 'T'\ntext", ["definition", "paragraph"], id="definitions"),
        pytest.param("text\n[a]: http://x", ["paragraph"], id="a definition cannot interrupt a paragraph"),
        pytest.param("[a] text", ["paragraph"], id="not a definition"),
        pytest.param("The year\n1986. again", ["paragraph"], id="a year in a paragraph is no list"),
        pytest.param("\n \n", [], id="blank lines only"),
    ],
)
def test_what_a_line_begins(text, kinds):
    assert [block.kind.value for block in split(text)] == kinds


def test_the_unfinished_line_can_be_held_back():
    splitter = BlockSplitter()
    splitter.feed("Title\n-")

    assert [block.kind for block in splitter.tail()] == [Kind.HEADING]
    assert [block.kind for block in splitter.tail(without=1)] == [Kind.PARAGRAPH]

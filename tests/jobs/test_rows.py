"""Rows from files: every format, every way a line can be wrong, one row in memory at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.core.errors import UsageError
from workbench.core.types import Message, Params
from workbench.jobs.rows import BadRow, Row, RowFormat, RowReader
from workbench.jobs.template import fill, variables_of


def read(text: str, format_: RowFormat = RowFormat.JSONL, **options) -> list[Row | BadRow]:
    return list(RowReader(**options).rows(text.splitlines(keepends=True), format_))


def test_a_jsonl_row_has_prompt_or_messages_and_options():
    rows = read(
        '{"prompt": "a", "id": "x", "params": {"temperature": 0.5}}\n'
        '\n"just words"\n'
        '{"messages": [{"role": "user", "content": "b"}], "system": "s"}\n'
    )

    assert rows == [
        Row(1, "x", (Message.user("a"),), Params(temperature=0.5)),
        Row(3, "3", (Message.user("just words"),)),
        Row(4, "4", (Message.system("s"), Message.user("b"))),
    ]


def test_a_template_is_filled_from_each_row():
    rows = read(
        "city,n\nRome,3\n", RowFormat.CSV, template="Visit {{city}} in {{ n }} days.", system="Guide for {{city}}"
    )

    assert rows == [Row(2, "2", (Message.system("Guide for Rome"), Message.user("Visit Rome in 3 days.")))]


def test_csv_cells_may_span_lines():
    (row,) = read('prompt,id\n"two\nlines",k\n', RowFormat.CSV)

    assert isinstance(row, Row)
    assert (row.messages[0].text, row.id) == ("two\nlines", "k")


def test_text_lines_are_prompts_and_empty_ones_are_nothing():
    assert [row.messages[0].text for row in read("a\n\nb\n", RowFormat.TEXT) if isinstance(row, Row)] == ["a", "b"]


def test_a_rows_own_parameters_win():
    (row,) = read('{"prompt": "a", "params": {"seed": 2}}', params=Params(seed=1, temperature=0.0))

    assert isinstance(row, Row)
    assert row.params == Params(seed=2, temperature=0.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": ', "not JSON"),
        ("[1]", "must be an object or a string"),
        ('{"promt": "x"}', 'neither "prompt" nor "messages" in it; it has promt'),
        ('{"prompt": null}', "got None"),
        ('{"prompt": "x", "params": {"seed": "y"}}', "expected a whole number"),
        ('{"prompt": "x", "params": 3}', "params must be an object"),
        ('{"messages": [{"role": "cat", "content": "x"}]}', "role 'cat'"),
    ],
)
def test_a_bad_row_says_why_and_the_next_one_is_read(line: str, reason: str):
    bad, good = read(f'{line}\n{{"prompt": "good"}}\n')

    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert bad.line == 1
    assert isinstance(good, Row)


def test_an_id_that_comes_twice_is_refused_the_second_time():
    rows = read('{"prompt": "a", "id": 1}\n{"prompt": "b", "id": "1"}\n')

    assert rows[1] == BadRow(2, "id '1' has been used before.")


def test_a_csv_line_of_the_wrong_width_is_named():
    rows = read("prompt,id\na,1,extra\nb,2\n", RowFormat.CSV)

    assert rows[0] == BadRow(2, "expected 2 cells, as in the first line.")
    assert isinstance(rows[1], Row)


def test_bytes_that_are_no_text_are_one_bad_row(tmp_path: Path):
    file = tmp_path / "rows.txt"
    file.write_bytes(b"good\n\xff\xfe\nfine\n")

    kinds = [type(row) for row in RowReader().read(file)]

    assert kinds == [Row, BadRow, Row]


def test_a_file_that_is_not_there_or_has_no_known_ending_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="Cannot read"):
        RowReader().read(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match=r"\.jsonl, \.csv or \.txt"):
        RowReader().read(tmp_path / "rows.xlsx")


def test_the_digest_follows_what_would_be_sent():
    first, same, other = (
        read(f'{{"prompt": "{text}", "id": "{key}"}}')[0] for text, key in [("a", 1), ("a", 2), ("b", 1)]
    )

    assert first.digest == same.digest != other.digest


def test_a_template_without_a_value_names_it():
    with pytest.raises(UsageError, match=r"no value for \{\{b\}\}\. It has a"):
        fill("{{a}} {{b}}", {"a": 1})


def test_a_value_that_looks_like_a_variable_is_left_alone():
    assert fill("{{a}}", {"a": "{{b}}", "b": "x"}) == "{{b}}"
    assert variables_of("{{a}} {{b}} {{a}} { {c} } {{ }}") == ("a", "b")

"""A prompt, a file of rows and models as a batch: what would be asked, and what is wrong with it in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.core.errors import UsageError
from workbench.core.types import Message, Params
from workbench.session.batch_order import BatchOrder, Survey
from workbench.session.draft import Draft
from workbench.session.targets import LineUp, Target

TARGETS = LineUp().add(Target("gpt-5.4-mini", Params(temperature=0.2))).targets


def order(prompt: str = "", system: str = "", source: Path | None = None) -> BatchOrder:
    return BatchOrder(Draft(prompt, system), TARGETS, source)


def test_a_prompt_alone_is_one_row_with_the_targets_parameters() -> None:
    one = order("Why?", "Be brief.")

    assert one.check() == Survey(1)
    (row,) = one.rows(TARGETS[0])
    assert row.messages == (Message.system("Be brief."), Message.user("Why?"))
    assert row.params == Params(temperature=0.2)


def test_rows_fill_the_variables_of_a_prompt(tmp_path: Path) -> None:
    source = tmp_path / "rivers.csv"
    source.write_text("id,river\na,Rhine\nb,Elbe\n")

    found = order("How long is the {{river}}?", source=source)

    assert found.check() == Survey(2)
    assert [(row.id, row.messages[-1].text) for row in found.rows(TARGETS[0])] == [
        ("a", "How long is the Rhine?"),
        ("b", "How long is the Elbe?"),
    ]


def test_without_a_prompt_rows_bring_their_own(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"prompt": "One?", "params": {"temperature": 1.0}}\n"Two?"\n')

    rows = list(order(system="Be brief.", source=source).rows(TARGETS[0]))

    assert [row.messages[-1].text for row in rows] == ["One?", "Two?"]
    assert [row.messages[0] for row in rows] == [Message.system("Be brief.")] * 2
    assert [row.params.temperature for row in rows] == [1.0, 0.2]


def test_bad_rows_are_counted_with_their_reasons_and_left_out(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"prompt": "One?", "id": "a"}\nnot json\n{"prompt": "Two?", "id": "a"}\n')

    survey = order(source=source).check()

    assert survey.rows == 1
    assert [row.line for row in survey.bad] == [2, 3]
    assert len(list(order(source=source).rows(TARGETS[0]))) == 1


@pytest.mark.parametrize(
    ("prompt", "text", "complaint"),
    [
        ("", None, "neither a prompt nor a file"),
        ("About {{river}}", None, "name a file whose rows fill it"),
        ("No variable", '{"prompt": "x"}\n', "every row would ask the same"),
        ("About {{river}}", "", "no row that can be asked. It is empty."),
        ("About {{river}}", '{"sea": "North"}\n', "no row that can be asked. Line 1: no value for {{river}}"),
    ],
    ids=["nothing", "variables-without-rows", "rows-without-variables", "empty-file", "missing-variable"],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, prompt: str, text: str | None, complaint: str) -> None:
    source = None
    if text is not None:
        source = tmp_path / "rows.jsonl"
        source.write_text(text)

    with pytest.raises(UsageError, match=complaint.replace("{", r"\{")):
        order(prompt, source=source).check()


@pytest.mark.parametrize(
    ("prompt", "source", "name", "said"),
    [
        ("Why?", None, "mine", "mine"),
        ("About {{x}}", Path("data/rivers.csv"), "", "rivers"),
        ("Why\nis  it so?", None, "", "Why is it so?"),
        ("word " * 20, None, "", "word word word word word word word word…"),
    ],
    ids=["own", "of-the-file", "of-the-prompt", "shortened"],
)
def test_a_batch_has_a_name_to_be_found_by(prompt: str, source: Path | None, name: str, said: str) -> None:
    found = BatchOrder(Draft(prompt), TARGETS, source, name).said_name

    assert found == said
    assert len(found) <= 40

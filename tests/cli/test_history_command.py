from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.core.clock import ManualClock
from workbench.core.errors import ServerError
from workbench.core.paths import Paths
from workbench.core.types import FinishReason, Message, Params, Request, Result, Route, Timing, Usage
from workbench.session.recorder import Recorder
from workbench.store.conversations import Conversations
from workbench.store.database import Database
from workbench.store.prompts import Prompts
from workbench.store.runs import RunKind, Runs

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "")
S = 1_000_000_000


@pytest.fixture
def recorded() -> str:
    """One run of two answers, the second a failure; its id."""
    database = Database(Paths.from_environment(os.environ).database)
    recorder = Recorder(Runs(database), ManualClock(), kind=RunKind.COMPARE, session="monday")
    request = Request(
        model="gpt-5.4", messages=(Message.system("Be brief."), Message.user("What do \x1b[31mbees see?"))
    )
    timing = Timing(0, sent_ns=0, first_token_ns=S // 2, last_token_ns=S, done_ns=S)
    usage = Usage(input=1000, cached_input=250, output=11)
    run_id = recorder.open_run(request.messages, Params())
    recorder.add(run_id, 0, request, Result("Ultraviolet.", "Hm.\nYes.", FinishReason.STOP, usage, 0.5, timing, ROUTE))
    recorder.add(
        run_id,
        1,
        request,
        Result("Ul", "", FinishReason.INCOMPLETE, None, None, Timing(0), ROUTE),
        ServerError("It broke."),
    )
    recorder.flush()
    database.close()
    assert run_id is not None
    return run_id


def test_looking_at_an_empty_history_makes_no_store(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["history", "list"], ["history", "search", "x"], ["usage"], ["history", "export"]):
        assert run(words) == 0
    assert "Nothing has been recorded yet." in capsys.readouterr().out
    assert not Paths.from_environment(os.environ).database.exists()


def test_list_and_search_name_the_run(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "list"]) == 0
    assert run(["history", "search", "ultra"]) == 0

    listed, found = capsys.readouterr().out.split("RUN")[1:]
    assert recorded in listed
    assert "What do bees see?" in listed
    assert "«Ultraviolet»" in found


def test_show_gives_markdown_without_control_codes(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "show", recorded[:12]]) == 0

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "## System\n\nBe brief." in shown
    assert (
        "## gpt-5.4\n\n*TTFT 0.50 s · 20 tok/s · 11 tok · $0.5000*\n\n### Reasoning\n\n> Hm.\n> Yes.\n\nUltraviolet."
        in shown
    )
    assert "*(server error: It broke.)*" in shown


def test_export_writes_one_line_per_answer(recorded: str, tmp_path: Path) -> None:
    assert run(["history", "export", "--output", str(tmp_path / "all.jsonl")]) == 0

    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(row["run"], row["text"], row["error_title"]) for row in rows] == [
        (recorded, "Ultraviolet.", None),
        (recorded, "Ul", "server error"),
    ]


@pytest.fixture
def follow_up() -> str:
    """A second question in a conversation, and what had been said before it; the run's id."""
    database = Database(Paths.from_environment(os.environ).database)
    recorder = Recorder(Runs(database), ManualClock(), kind=RunKind.COMPARE, conversations=Conversations(database))
    first = (Message.system("Be brief."), Message.user("Can bees see?"), Message.assistant("They can."))
    request = Request(model="gpt-5.4", messages=(*first, Message.user("And count?")))
    run_id = recorder.open_run(request.messages, Params())
    answer = Result("Up to four.", "", FinishReason.STOP, None, None, Timing(0), ROUTE)
    answer_id = recorder.add(run_id, 0, request, answer)
    said = (*request.messages, Message.assistant("Up to four."))
    recorder.keep_conversation(said, "gpt-5.4", answer_ids=(None, None, None, None, answer_id))
    recorder.flush()
    database.close()
    assert run_id is not None
    return run_id


def test_show_has_what_was_said_before(follow_up: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "show", follow_up]) == 0
    markdown = capsys.readouterr().out
    assert run(["history", "show", follow_up, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)

    assert "> **user:** Can bees see?\n>\n> **assistant:** They can." in markdown
    assert markdown.index("They can.") < markdown.index("Up to four.")
    assert line["conversation"] == [
        {"role": "user", "text": "Can bees see?"},
        {"role": "assistant", "text": "They can."},
    ]


def test_prompts_are_listed_with_their_versions(capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(Paths.from_environment(os.environ).database)
    clock = ManualClock()
    recorder = Recorder(Runs(database), clock, kind=RunKind.COMPARE, prompts=Prompts(database))
    for text in ("Name a bee.\nOne.", "Name a bee.\nTwo.", "Name a bee.\nTwo.", "Something else"):
        recorder.open_run((Message.user(text),), Params())
        clock.advance(1.0)
    recorder.open_run((Message.user("(rows of x.csv)"),), Params(), name="x.csv", is_prompt=False)
    recorder.flush()
    database.close()

    assert run(["history", "prompts", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run(["history", "prompts"]) == 0
    table = capsys.readouterr().out
    assert run(["history", "prompts", "Name a bee."]) == 0
    versions = capsys.readouterr().out

    assert [(one["name"], one["version"]) for one in listed] == [("Something else", 1), ("Name a bee.", 2)]
    assert table.splitlines()[2].split()[2:] == ["2", "Name", "a", "bee."]
    assert versions.index("version 2") < versions.index("Two.") < versions.index("version 1") < versions.index("One.")


def test_a_prompt_that_nobody_ran_has_no_versions(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "prompts", "Never"]) == 0
    assert run(["history", "prompts"]) == 0

    assert capsys.readouterr().out == ("No prompt goes by the name 'Never'.\nNo prompt has been kept yet.\n")


def test_forget_deletes(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "forget", recorded]) == 0
    assert run(["history", "show", recorded]) == 1

    assert "No run" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["model", "day", "session"])
def test_usage_adds_up(recorded: str, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage", "--by", by, "--json"]) == 0

    (total,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (total["requests"], total["failed"], total["input_tokens"], total["cost_usd"]) == (2, 1, 1000, 0.5)
    assert total["prefix_hit_rate"] == 0.25


def test_usage_is_a_table_for_people(recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage"]) == 0

    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["MODEL", "REQUESTS"]
    assert row.split()[:6] == ["openai/gpt-5.4", "2", "1", "1,000", "11", "$0.5000"]

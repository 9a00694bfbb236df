"""`run --schema` against the simulator: objects that fit, answers that never do, files that are no schema."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.simulator.faults import FaultRule, parse
from workbench.simulator.server import SimulatorThread

MODEL = "gpt-4.1-mini"
RIVER = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "length_km": {"type": "integer", "minimum": 1}},
    "required": ["name", "length_km"],
    "additionalProperties": False,
}
PROSE = "I would rather say it in my own words."


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast") as running:
        yield running


@pytest.fixture(autouse=True)
def place(server: SimulatorThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.set_faults()
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_urls["openai"])
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    Path("river.json").write_text(json.dumps(RIVER))
    Path("rivers.txt").write_text("".join(f"River {number}?\n" for number in range(6)))


def asked(server: SimulatorThread) -> int:
    count: int = server.call(lambda simulation: simulation.journal.tally().requests)
    return count


def one(*more: str) -> list[str]:
    return ["run", "-m", MODEL, "--no-cache", "--schema", "river.json", *more, "A river?"]


def sheet(*more: str) -> list[str]:
    return ["run", "-m", MODEL, "--schema", "river.json", "--input", "rivers.txt", "--output", "out.jsonl", *more]


def results() -> list[dict]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_plain_output_is_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(one()) == 0

    shown = capsys.readouterr()
    assert set(json.loads(shown.out)) == {"name", "length_km"}
    assert shown.err == ""


def test_json_has_the_object_beside_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(one("--json")) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["object"] == json.loads(answer["text"])


def test_several_models_each_show_their_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(one("-m", "gpt-4.1-nano")) == 0

    shown = capsys.readouterr().out
    assert shown.count('"length_km": ') == shown.count("── gpt-4.1-") == 2


def test_without_a_schema_there_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "-m", MODEL, "--json", "A river?"]) == 0

    assert "object" not in json.loads(capsys.readouterr().out)


def test_what_does_not_fit_is_sent_back_once(server: SimulatorThread, capsys: pytest.CaptureFixture[str]) -> None:
    server.set_faults(FaultRule(parse("prose"), count=1))
    before = asked(server)

    assert run(one()) == 0

    assert set(json.loads(capsys.readouterr().out)) == {"name", "length_km"}
    assert asked(server) == before + 2


def test_what_never_fits_leaves_standard_output_empty(
    server: SimulatorThread, capsys: pytest.CaptureFixture[str]
) -> None:
    server.set_faults(FaultRule(parse("prose")))

    assert run(one()) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert PROSE in shown.err
    assert "invalid output: the answer is not JSON" in shown.err


def test_a_json_line_that_does_not_fit_keeps_its_text(
    server: SimulatorThread, capsys: pytest.CaptureFixture[str]
) -> None:
    server.set_faults(FaultRule(parse("prose")))

    assert run(one("--json")) == 1

    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["object"], answer["error"]["type"]) == (PROSE, None, "InvalidOutput")


def test_every_row_of_a_file_gets_an_object() -> None:
    assert run(sheet()) == 0

    assert len(results()) == 6
    assert all(row["object"] == json.loads(row["text"]) and row["error"] is None for row in results())


def test_a_row_that_never_fits_has_failed_and_keeps_its_text(
    server: SimulatorThread, capsys: pytest.CaptureFixture[str]
) -> None:
    server.set_faults(FaultRule(parse("prose")))

    assert run(sheet()) == 1
    assert {(row["text"], row["object"], row["error"]["type"]) for row in results()} == {(PROSE, None, "InvalidOutput")}
    assert "6 failed" in capsys.readouterr().err

    server.set_faults()
    assert run(sheet("--retry-failed")) == 0
    assert all(row["object"] for row in results())


def test_rows_of_another_schema_are_asked_again(server: SimulatorThread) -> None:
    assert run(sheet()) == 0
    before = asked(server)
    assert run(sheet("--resume")) == 0
    assert asked(server) == before

    Path("river.json").write_text(json.dumps({"type": "object", "properties": {"sea": {"type": "string"}}}))
    assert run(sheet("--resume")) == 0

    assert asked(server) == before + 6
    assert all(set(row["object"]) <= {"sea"} for row in results())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "Cannot read the schema river.json: No such file or directory."),
        ("{", "The schema river.json is not JSON"),
        ("[1]", "The schema river.json must be a JSON object."),
        ('{"type": "river"}', "The schema river.json cannot be used: This is not a valid JSON schema: at $.type"),
    ],
)
@pytest.mark.parametrize("words", [one(), sheet()], ids=["prompt", "file"])
def test_a_file_that_is_no_schema_is_wrong_usage(
    words: list[str], content: str | None, complaint: str, server: SimulatorThread, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("river.json").unlink() if content is None else Path("river.json").write_text(content)
    before = asked(server)

    assert run(words) == 2

    assert complaint in capsys.readouterr().err
    assert asked(server) == before


@pytest.mark.parametrize("words", [one(), sheet()], ids=["prompt", "file"])
def test_a_schema_and_a_format_exclude_each_other(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "-p", 'response_format={"type":"json_object"}']) == 2

    assert "exclude each other" in capsys.readouterr().err

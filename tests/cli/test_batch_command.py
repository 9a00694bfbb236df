"""`batch` as a person types it, against the simulator: from a file of prompts to a file of answers, and every slip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.cli.entry import run
from workbench.core.paths import Paths
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.faults import FaultRule, parse
from workbench.simulator.server import SimulatorThread

MODELS = {
    "openai": "gpt-4.1-nano",
    "anthropic": "anthropic/claude-haiku-4-5",
    "gemini": "gemini/gemini-2.5-flash-lite",
    "together": "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
}
MODEL = MODELS["openai"]
AT_ONCE = BatchPace(validate_s=0.0, rows_per_s=float("inf"), finalize_s=0.0, cancel_s=0.0, brief=True)
SLOW = BatchPace(validate_s=0.0, rows_per_s=0.01, finalize_s=0.0, cancel_s=0.0, brief=True)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorThread]:
    with SimulatorThread("steady") as running:
        yield running


@pytest.fixture(autouse=True)
def simulator(server: SimulatorThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatorThread:
    """As if just started, with three rows to ask it in the working directory."""
    server.reset()
    server.set_batch_pace(AT_ONCE)
    for provider in MODELS:
        monkeypatch.setenv(f"{provider.upper()}_BASE_URL", server.base_urls[provider])
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", server.api_key)
    monkeypatch.chdir(tmp_path)
    write("rivers.jsonl", *({"id": f"r{number}", "prompt": f"River {number}?"} for number in range(3)))
    return server


def write(name: str, *rows: object) -> None:
    Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def batch(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `batch …` and gives the exit code with what was said."""

    def batch(*words: str) -> tuple[int, str, str]:
        code = run(["batch", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return batch


def submitted(batch: Any, *words: str) -> str:
    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL, *words)
    assert code == 0, err
    (job_id,) = out.split()
    return str(job_id)


def test_help_lists_the_commands_in_the_order_of_their_use_with_the_exit_codes(batch: Any) -> None:
    code, out, _ = batch("--help")

    listed = [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()]
    assert code == 0
    assert listed[:5] == ["submit", "list", "status", "watch", "retrieve"]
    assert "3  not ended yet" in out
    assert "..." not in out.split("Commands:")[1]


@pytest.mark.parametrize("provider", MODELS)
def test_rows_come_back_in_their_order_from_every_provider(batch: Any, provider: str) -> None:
    code, out, _ = batch("submit", "rivers.jsonl", "-m", MODELS[provider], "--json")
    (job,) = objects(out)

    watched, seen, _ = batch("watch", job["id"], "--json")
    retrieved, rows, _ = batch("retrieve", job["id"], "--json")

    assert (code, watched, retrieved) == (0, 0, 0)
    assert job["model"] == MODELS[provider]
    assert objects(seen)[-1]["state"] == "completed"
    assert [(row["index"], row["id"], bool(row["text"]), row["error"]) for row in objects(rows)] == [
        (number, f"r{number}", True, None) for number in range(3)
    ]


def test_a_job_is_found_by_its_id_a_beginning_of_it_and_its_provider_s_names(batch: Any) -> None:
    job_id = submitted(batch)
    (job,) = objects(batch("status", job_id, "--json")[1])

    for name in (job_id[:12], job["handle"], job["batches"][0]["id"]):
        code, out, _ = batch("status", name, "--json")
        assert (code, objects(out)[0]["id"]) == (0, job_id)


def test_two_models_are_two_jobs_of_one_group(batch: Any, simulator: SimulatorThread) -> None:
    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL, "-m", MODELS["gemini"], "--name", "both", "--json")

    jobs = objects(out)
    assert code == 0
    assert [job["model"] for job in jobs] == [MODEL, MODELS["gemini"]]
    assert [job["name"] for job in jobs] == ["both", "both"]
    assert len({job["group"] for job in jobs}) == 1
    assert jobs[0]["group"]
    assert err.count("3 rows") == 2


def test_system_template_and_parameters_reach_every_row(batch: Any, simulator: SimulatorThread) -> None:
    Path("cities.csv").write_text("id,city\na,Bern\nb,Rome\n")

    words = ("--template", "Where is {{city}}?", "--system", "Be brief.", "-p", "max_tokens=5")
    code, out, _ = batch("submit", "cities.csv", "-m", MODEL, *words)
    _, rows, _ = batch("retrieve", out.strip(), "--json")

    assert code == 0
    sent = simulator.call(
        lambda simulation: [json.loads(line) for made in simulation.batches._batches.values() for line in made.lines]
    )
    assert sent[-1]["body"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is Rome?"},
    ]
    assert [(row["id"], row["usage"]["output_tokens"] <= 5) for row in objects(rows)] == [("a", True), ("b", True)]


def test_failed_rows_have_an_error_and_can_be_asked_again(batch: Any) -> None:
    write("rivers.jsonl", {"prompt": "A river?"}, {"prompt": "Two rivers? [sim:context-overflow]"}, "Three rivers?")
    job_id = submitted(batch)

    code, out, _ = batch("retrieve", job_id, "--json")
    listed, table, _ = batch("status", job_id)
    again, retried, _ = batch("retry-failed", job_id, "--json")
    only, failed, _ = batch("retrieve", job_id, "--json", "--only", "failed")

    rows = objects(out)
    assert (code, listed, again, only) == (1, 1, 0, 1)
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert rows[1]["text"] == ""
    assert rows[1]["error"]["title"]
    assert [row["id"] for row in objects(failed)] == ["2"]
    assert rows[1]["error"]["title"] in table
    (job,) = objects(retried)
    assert (job["retry_of"], job["counts"]["total"]) == (job_id, 1)


def test_what_has_not_ended_is_3_and_nothing_is_given_out(batch: Any, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(SLOW)
    job_id = submitted(batch)

    status, shown, _ = batch("status", job_id)
    retrieve, rows, complaint = batch("retrieve", job_id, "--output", "out.jsonl")
    watch, lines, _ = batch("watch", job_id, "--timeout", "0")
    simulator.skip_batch_time(301.0)
    ended, _, _ = batch("status", job_id)

    assert (status, retrieve, watch, ended) == (3, 3, 3, 0)
    assert "0/3 rows done" in shown
    assert rows == ""
    assert f"Wait for it: llm-workbench batch watch {job_id}" in complaint
    assert not Path("out.jsonl").exists()
    assert job_id in lines


def test_results_go_to_a_file_that_is_not_replaced_unasked(batch: Any) -> None:
    job_id = submitted(batch)

    first, _, told = batch("retrieve", job_id, "--output", "out.jsonl")
    again, _, complaint = batch("retrieve", job_id, "--output", "out.jsonl")
    replaced, _, _ = batch("retrieve", job_id, "--output", "out.jsonl", "--overwrite")

    assert (first, again, replaced) == (0, 2, 0)
    assert "3 rows in out.jsonl" in told
    assert "out.jsonl exists already." in complaint
    assert [row["id"] for row in objects(Path("out.jsonl").read_text())] == ["r0", "r1", "r2"]


def test_results_can_be_a_table_for_a_spreadsheet(batch: Any) -> None:
    code, out, told = batch("submit", "rivers.jsonl", "-m", MODEL, "--wait", "--output", "out.csv")

    assert (code, out) == (0, "")
    assert "3 rows in out.csv" in told
    assert [line.split(",")[1] for line in Path("out.csv").read_text().splitlines()] == ["id", "r0", "r1", "r2"]


def test_a_cancelled_job_keeps_what_it_has(batch: Any, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(SLOW)
    job_id = submitted(batch)
    simulator.skip_batch_time(101.0)

    code, _, _ = batch("cancel", job_id)
    status, shown, _ = batch("status", job_id, "--json")
    _, rows, _ = batch("retrieve", job_id, "--json")

    assert (code, status) == (0, 1)
    assert objects(shown)[0]["state"] == "cancelled"
    assert [bool(row["text"]) for row in objects(rows)].count(True) == 1


def test_the_list_has_all_jobs_newest_first(batch: Any, simulator: SimulatorThread) -> None:
    first = submitted(batch, "--name", "one")
    simulator.set_batch_pace(SLOW)
    second = submitted(batch, "--name", "two")

    _, listed, _ = batch("list", "--json")
    _, table, _ = batch("list", "--stored")
    _, still_open, _ = batch("list", "--open", "--json")

    assert [(job["id"], job["ended"]) for job in objects(listed)] == [(second, False), (first, True)]
    assert [line.split()[0] for line in table.splitlines()] == ["JOB", second, first]
    assert [job["id"] for job in objects(still_open)] == [second]


def test_an_ended_job_can_be_forgotten(batch: Any) -> None:
    job_id = submitted(batch)
    batch("status", job_id)

    code, _, _ = batch("forget", job_id)

    assert code == 0
    assert batch("list", "--json")[1] == ""


def test_a_batch_made_elsewhere_is_imported(batch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job_id = submitted(batch)
    (job,) = objects(batch("status", job_id, "--json")[1])
    monkeypatch.setenv("LLM_DATA_DIR", str(tmp_path / "elsewhere"))

    code, out, _ = batch("import", job["handle"], "-m", MODEL, "--name", "theirs", "--json")
    retrieved, rows, _ = batch("retrieve", objects(out)[0]["id"], "--json")

    assert (code, retrieved) == (0, 0)
    assert (objects(out)[0]["imported"], objects(out)[0]["name"]) == (True, "theirs")
    assert len(objects(rows)) == 3


def test_an_estimate_sends_nothing(batch: Any, simulator: SimulatorThread) -> None:
    code, out, _ = batch("submit", "rivers.jsonl", "-m", MODEL, "--estimate", "--json")
    _, words, _ = batch("submit", "rivers.jsonl", "-m", MODEL, "--estimate")

    (estimate,) = objects(out)
    assert code == 0
    assert estimate["rows"] == 3
    assert estimate["batch_usd_high"] == pytest.approx(estimate["live_usd_high"] / 2)
    assert "(live $" in words
    assert simulator.requests() == []
    assert batch("list", "--json")[1] == ""


def test_waiting_gives_answers_and_nothing_else_to_standard_output(batch: Any) -> None:
    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL, "--wait", "--json")

    assert code == 0
    assert [row["id"] for row in objects(out)] == ["r0", "r1", "r2"]
    assert "completed  3/3" in err


def test_the_demo_waits_for_its_own_jobs_and_leaves_nothing_behind(own_environment: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}

    done = subprocess.run(
        [sys.executable, "-m", "workbench", "batch", "submit", "rivers.jsonl", "--demo", "--json", "-m", MODEL],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [bool(row["text"]) for row in objects(done.stdout)] == [True] * 3
    assert not list(own_environment.rglob("*"))


@pytest.fixture
def watching(batch: Any, simulator: SimulatorThread) -> Iterator[subprocess.Popen[str]]:
    """`batch watch` in a process of its own, after its first line."""
    simulator.set_batch_pace(SLOW)
    submitted(batch)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "batch", "watch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "0/3" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_watching_follows_a_job_to_its_end(watching: subprocess.Popen[str], simulator: SimulatorThread) -> None:
    simulator.skip_batch_time(301.0)

    out, err = watching.communicate(timeout=200)

    assert watching.returncode == 0, err
    assert out.splitlines()[-1].endswith("completed  3/3")


def test_ctrl_c_leaves_the_job_running_and_says_so(watching: subprocess.Popen[str], batch: Any) -> None:
    watching.send_signal(signal.SIGINT)

    _, err = watching.communicate(timeout=200)

    assert watching.returncode == 130
    assert "go on at their providers" in err
    assert "Traceback" not in err
    assert batch("list", "--open", "--json")[1] != ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["submit", "none.jsonl", "-m", MODEL], "Cannot read none.jsonl"),
        (["submit", "rivers.jsonl"], "No model was named."),
        (["submit", "rivers.jsonl", "-m", MODEL, "-m", MODEL], "A model is named twice."),
        (["submit", "rivers.jsonl", "-m", "nonesuch-1"], "nonesuch-1"),
        (["submit", "rivers.jsonl", "-m", "sambanova/Meta-Llama-3.3-70B-Instruct"], "has no batches"),
        (["submit", "rivers.jsonl", "-m", f"{MODEL} | {MODELS['gemini']}"], "a batch goes to one model"),
        (["submit", "rivers.jsonl", "-m", MODEL, "--output", "x"], "--output goes with --wait"),
        (
            ["submit", "rivers.jsonl", "-m", MODEL, "-m", MODELS["gemini"], "--wait", "--output", "o.jsonl"],
            "--output takes the rows of one model.",
        ),
        (["submit", "rivers.jsonl", "-m", MODEL, "--wait", "--output", "o.xls"], "an export is a .jsonl, .csv or .md"),
        (["submit", "empty.jsonl", "-m", MODEL], "empty.jsonl has no rows"),
        (["submit", "broken.jsonl", "-m", MODEL], "line 2: not JSON"),
        (["submit", "twice.jsonl", "-m", MODEL], "id 'a' has been used before."),
        (["submit", "rivers.parquet", "-m", MODEL], "rows come from .jsonl, .csv or .txt"),
        (["submit", "rivers.jsonl", "-m", MODEL, "--template", "{{town}}?"], "no value for {{town}}"),
        (["import", "nonesuch"], "nonesuch"),
        (["retreive", "x"], "Did you mean retrieve?"),
    ],
)
def test_wrong_usage_says_what_to_do_and_sends_nothing(
    batch: Any, simulator: SimulatorThread, words: list[str], complaint: str
) -> None:
    Path("empty.jsonl").write_text("\n\n")
    Path("broken.jsonl").write_text('{"prompt": "a"}\n{"prompt"\n')
    write("twice.jsonl", {"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"})
    Path("rivers.parquet").write_text("PAR1")

    code, out, err = batch(*words)

    assert (code, out) == (2, "")
    assert complaint in err
    assert simulator.requests() == []


def test_a_broken_file_makes_no_store(batch: Any) -> None:
    Path("rivers.jsonl").write_text('{"prompt"')

    assert batch("submit", "rivers.jsonl", "-m", MODEL)[0] == 2
    assert not Paths.from_environment(os.environ).database.exists()


@pytest.mark.parametrize("verb", ["status", "watch", "retrieve", "cancel", "retry-failed", "forget"])
def test_a_job_that_is_not_there_is_named_with_what_is_near(batch: Any, verb: str) -> None:
    job_id = submitted(batch)

    code, out, err = batch(verb, f"{job_id[:-1]}u")

    assert (code, out) == (2, "")
    assert f"{job_id[:-1]}u" in err
    assert job_id in err


def test_looking_where_nothing_was_submitted_says_how_to_begin_and_makes_no_store(batch: Any) -> None:
    code, out, _ = batch("list")
    missing, _, complaint = batch("status", "x")

    assert (code, missing) == (0, 2)
    assert "batch submit prompts.jsonl -m MODEL" in out
    assert "half price" in out
    assert "There are no batch jobs yet." in complaint
    assert not Paths.from_environment(os.environ).database.exists()


def test_without_a_key_the_variable_is_named(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    code, _, err = batch("submit", "rivers.jsonl", "-m", MODELS["anthropic"])

    assert code != 0
    assert "ANTHROPIC_API_KEY" in err


def test_bad_rows_are_left_out_when_that_is_asked_for(batch: Any) -> None:
    Path("rivers.jsonl").write_text('{"id": "a", "prompt": "A?"}\nnonsense\n{"id": "b", "prompt": "B?"}\n')

    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL, "--skip-bad")
    _, rows, _ = batch("retrieve", out.strip(), "--json")

    assert code == 0
    assert "rivers.jsonl:2: left out: not JSON" in err
    assert [row["id"] for row in objects(rows)] == ["a", "b"]


def test_one_model_s_refusal_leaves_the_others_alone(batch: Any, simulator: SimulatorThread) -> None:
    simulator.set_faults(FaultRule(parse("spent"), provider="gemini", operation="create"))

    code, out, err = batch("submit", "rivers.jsonl", "-m", MODELS["gemini"], "-m", MODEL, "--json")

    refused, job = objects(out)
    assert code == 1
    assert refused["id"] is None
    assert refused["error"]["title"]
    assert job["model"] == MODEL
    assert f"{MODELS['gemini']}: " in err


def test_a_provider_that_is_down_gets_the_job_later_and_only_once(batch: Any, simulator: SimulatorThread) -> None:
    simulator.set_faults(FaultRule(parse("unavailable"), provider="openai", operation="upload"))

    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL)
    simulator.set_faults()
    later, _, _ = batch("status", out.strip())

    assert (code, later) == (3, 0)
    assert f"{MODEL}: " in err
    assert simulator.call(lambda simulation: len(simulation.batches._batches)) == 1


def test_a_key_that_cannot_see_the_job_says_so_and_the_others_are_unharmed(
    batch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job_id = submitted(batch)
    (job,) = objects(batch("status", job_id, "--json")[1])
    monkeypatch.setenv("LLM_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("OPENAI_API_KEY", "sim-key-2")

    code, _, err = batch("import", job["handle"])

    assert code == 1
    assert "no batch" in err
    assert "sim-key-2" not in err


def test_trouble_with_one_job_stands_below_the_list_and_the_others_are_unharmed(
    batch: Any, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.set_batch_pace(SLOW)
    job_id = submitted(batch)
    simulator.set_batch_pace(AT_ONCE)
    _, other, _ = batch("submit", "rivers.jsonl", "-m", MODELS["gemini"])
    monkeypatch.setenv("OPENAI_API_KEY", "sim-key-2")

    code, table, trouble = batch("list")

    assert code == 0
    assert trouble.startswith(f"{job_id}: ")
    assert "no batch" in trouble
    assert [line.split()[:3:2] for line in table.splitlines()[1:]] == [
        [other.strip(), "completed"],
        [job_id, "running"],
    ]


def test_a_batch_that_no_key_can_be_found_for_is_kept_until_there_is_one(
    batch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job_id = submitted(batch)
    (job,) = objects(batch("status", job_id, "--json")[1])
    monkeypatch.setenv("LLM_DATA_DIR", str(tmp_path / "elsewhere"))
    key = os.environ["OPENAI_API_KEY"]
    monkeypatch.delenv("OPENAI_API_KEY")

    imported, out, _ = batch("import", job["handle"])
    waiting, shown, _ = batch("status", out.split()[0])
    monkeypatch.setenv("OPENAI_API_KEY", key)
    found, _, _ = batch("status", out.split()[0])

    assert (imported, waiting, found) == (0, 3, 0)
    assert "OPENAI_API_KEY" in shown


def test_on_a_screen_the_id_is_said_once(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    code, out, err = batch("submit", "rivers.jsonl", "-m", MODEL)

    (line,) = out.splitlines()
    assert (code, err) == (0, "")
    assert batch("status", line.split()[0], "--json")[0] == 0


def test_a_line_says_what_is_being_waited_for_and_goes_away(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = submitted(batch)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    _, _, err = batch("status", job_id)

    assert err == f"\r\x1b[Kasking after {job_id} …\r\x1b[K"


def test_results_older_than_the_provider_keeps_are_said_to_be_gone(batch: Any, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(SLOW)
    job_id = submitted(batch)
    simulator.skip_batch_time(60 * 86_400.0)

    code, out, _ = batch("status", job_id)

    assert code in (1, 3), "given up, or about to be"
    assert "has deleted its results" in out

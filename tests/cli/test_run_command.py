"""`run` against the simulator: real SDKs, real sockets, the real engine."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.demo import DEMO_LINE_UP
from workbench.simulator.server import SimulatorThread

FIELDS = [
    "model",
    "text",
    "reasoning",
    "finish_reason",
    "usage",
    "cost_usd",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "queue_s",
    "cached",
    "similarity",
    "attempts",
    "provider",
    "wire_model",
    "error",
]

PROVIDERS = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    "gemini": ("GEMINI_BASE_URL", "GEMINI_API_KEY"),
    "local": ("LOCAL_BASE_URL", "LOCAL_API_KEY"),
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast") as running:
        yield running


@pytest.fixture(autouse=True)
def asks_the_simulator(simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, (base_url, key) in PROVIDERS.items():
        monkeypatch.setenv(base_url, simulator.base_urls[provider])
        monkeypatch.setenv(key, simulator.api_key)
    monkeypatch.setattr("sys.stdin", io.StringIO())


def objects(shown: str) -> dict[str, dict[str, object]]:
    return {entry["model"]: entry for entry in map(json.loads, shown.splitlines())}


def test_one_model_prints_its_answer_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "-m", "gpt-4.1-nano", "-p", "seed=1", "Name three rivers."]) == 0
    plain = capsys.readouterr()
    assert run(["run", "-m", "gpt-4.1-nano", "-p", "seed=1", "--json", "Name three rivers."]) == 0
    text = objects(capsys.readouterr().out)["gpt-4.1-nano"]["text"]

    assert isinstance(text, str)
    assert plain.out == text.removesuffix("\n") + "\n"
    assert plain.err == ""


def test_json_has_one_object_per_model_with_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    models = ("gpt-4.1-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "local/llama-3.2-3b-instruct")

    assert run(["run", "--json", *(part for model in models for part in ("-m", model)), "Name three rivers."]) == 0

    answers = objects(capsys.readouterr().out)
    assert set(answers) == set(models)
    for model, answer in answers.items():
        assert list(answer) == FIELDS
        assert answer["text"]
        assert answer["finish_reason"] == "stop"
        assert answer["error"] is None
        assert answer["cached"] is False
        assert answer["attempts"] == 1
        assert f"{answer['provider']}/{answer['wire_model']}" in (model, f"openai/{model}")
        usage = answer["usage"]
        assert isinstance(usage, dict)
        assert list(usage) == ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"]
        assert usage["input_tokens"] > 0
        assert usage["output_tokens"] > 0
    assert answers["local/llama-3.2-3b-instruct"]["cost_usd"] is None
    cost = answers["gpt-4.1-mini"]["cost_usd"]
    assert isinstance(cost, float)
    assert cost > 0


def test_several_models_print_whole_answers_under_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "-m", "gpt-4.1-mini", "-m", "local/llama-3.2-3b-instruct", "Name three rivers."]) == 0

    shown = capsys.readouterr().out
    headers = [line for line in shown.splitlines() if line.startswith("── ")]
    assert sorted(header.split(" · ")[0] for header in headers) == ["── gpt-4.1-mini", "── local/llama-3.2-3b-instruct"]
    assert all(" tok · TTFT " in header for header in headers)


def test_a_failed_model_leaves_the_others_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--json", "-m", "gtp-4.1-mini", "-m", "gpt-4.1-mini", "Name three rivers."]) == 1

    answers = objects(capsys.readouterr().out)
    assert answers["gpt-4.1-mini"]["error"] is None
    failed = answers["gtp-4.1-mini"]
    assert list(failed) == FIELDS
    assert failed["finish_reason"] is None
    error = failed["error"]
    assert isinstance(error, dict)
    assert error["type"] == "UnknownModel"
    assert "gpt-4.1-mini" in error["hint"]


def test_a_failed_model_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "-m", "gpt-nonesuch", "Name three rivers."]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gpt-nonesuch: OpenAI (gpt-nonesuch), no such model (404): ")


def test_without_a_key_the_variable_and_the_demo_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    assert run(["run", "-m", "anthropic/claude-haiku-4-5", "Hello."]) == 1

    complaint = capsys.readouterr().err
    assert "ANTHROPIC_API_KEY" in complaint
    assert "--demo" in complaint


def test_a_key_that_is_refused_is_named_by_alias_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789abcdefghij")

    assert run(["run", "-m", "gpt-4.1-mini", "--json", "Hello."]) == 1

    shown = capsys.readouterr()
    error = objects(shown.out)["gpt-4.1-mini"]["error"]
    assert isinstance(error, dict)
    assert error["type"] == "KeyRejected"
    assert "openai#1" in f"{error['message']} {error['hint']}"
    assert "0123456789abcdefghij" not in shown.out + shown.err


def test_an_answer_is_cached_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    def ask(*options: str) -> dict[str, object]:
        assert run(["run", "--json", "-m", "gpt-4.1-mini", *options, "Name four rivers."]) == 0
        return objects(capsys.readouterr().out)["gpt-4.1-mini"]

    first, second, third = ask(), ask(), ask("--no-cache")

    assert [first["cached"], second["cached"], third["cached"]] == [False, True, False]
    assert second["text"] == first["text"]


def test_parameters_reach_the_wire(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--json", "-m", "gpt-4.1-mini", "-p", "max_tokens=5", "Name all rivers."]) == 0

    answer = objects(capsys.readouterr().out)["gpt-4.1-mini"]
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["output_tokens"] == 5  # type: ignore[index]  # checked by the test above


def test_a_model_named_twice_is_asked_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--json", "-m", "gpt-4.1-mini", "-m", "gpt-4.1-mini", "Name five rivers."]) == 0

    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "piped", "asked"),
    [
        (["-"], "rivers", "rivers"),
        ([], "rivers\n", "rivers"),
        (["Name three:", "-", "Thanks."], "rivers\n", "Name three:\n\nrivers\n\nThanks."),
        (["Name three:"], "rivers\n", "Name three:\n\nrivers"),
    ],
    ids=["dash", "pipe alone", "dash between", "pipe after text"],
)
def test_a_prompt_can_be_piped_in(
    arguments: list[str],
    piped: str,
    asked: str,
    simulator: SimulatorThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(piped))

    assert run(["run", "--no-cache", "-m", "gpt-4.1-mini", "--system", "Be brief.", *arguments]) == 0

    body = simulator.call(lambda simulation: simulation.journal.entries()[-1].body)
    assert body["messages"] == [  # type: ignore[index]  # what the wire carried, as JSON
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": asked},
    ]


def test_the_default_line_up_is_asked_when_no_model_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'default_lineup = "two"\n[lineups]\ntwo = ["short", "gpt-4.1"]\n[aliases]\nshort = "gpt-4.1-mini"\n'
    )

    assert run(["run", "--config", str(file), "--json", "Name six rivers."]) == 0

    answers = objects(capsys.readouterr().out)
    assert {name: answer["wire_model"] for name, answer in answers.items()} == {
        "short": "gpt-4.1-mini",
        "gpt-4.1": "gpt-4.1",
    }


def test_the_demo_needs_no_key_and_leaves_nothing_behind(own_environment: Path) -> None:
    """In a process of its own, where the SDKs of four wire families are imported at the same moment."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}

    done = subprocess.run(
        [sys.executable, "-m", "workbench", "run", "--demo", "--json", "-p", "max_tokens=16", "Name three rivers."],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert {name: answer["error"] for name, answer in objects(done.stdout).items()} == dict.fromkeys(DEMO_LINE_UP)
    assert done.stderr == ""
    assert not list(own_environment.rglob("*"))


@pytest.fixture
def slow_run() -> Iterator[subprocess.Popen[bytes]]:
    """`run` while a long answer streams, its first bytes not yet read."""
    with SimulatorThread("steady") as simulator:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", "run", "-m", "gpt-4.1", "Write 9000 words about rivers."],
            env={**os.environ, "OPENAI_BASE_URL": simulator.base_urls["openai"], "OPENAI_API_KEY": simulator.api_key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 120)[0]
            yield process
        finally:
            process.kill()
            process.communicate()


def test_ctrl_c_keeps_what_was_written_and_ends_with_130(slow_run: subprocess.Popen[bytes]) -> None:
    slow_run.send_signal(signal.SIGINT)
    shown, complaint = slow_run.communicate(timeout=120)

    assert slow_run.returncode == 130
    assert shown.endswith(b"\n")
    assert shown.strip()
    assert b"Traceback" not in complaint


def test_a_reader_that_leaves_ends_the_run_in_silence(slow_run: subprocess.Popen[bytes]) -> None:
    assert slow_run.stdout is not None
    slow_run.stdout.close()
    assert slow_run.stderr is not None
    complaint = slow_run.stderr.read()

    assert slow_run.wait(timeout=120) == 1
    assert complaint == b""

"""The library as its users call it: scripts, threads, running loops, forks, failures, Ctrl-C, the end of a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workbench import LLM, multi_chat, multi_generate
from workbench.core.errors import SomeFailed, UsageError, WorkbenchError
from workbench.core.events import check_stream
from workbench.core.paths import Paths
from workbench.core.types import FinishReason, Message
from workbench.loop_thread import close_shared_loop_thread
from workbench.simulator.server import SimulatorThread
from workbench.store.database import Database
from workbench.store.runs import Runs
from workbench.store.usage import GroupBy, totals

pytestmark = pytest.mark.usefixtures("simulator")

MODEL = "gpt-4.1-mini"
UNKNOWN = "gpt-4.1-nonesuch"


def test_generate_answers_every_prompt_in_order() -> None:
    questions = [f"What is {number} plus {number}?" for number in range(12)]

    rows = LLM(MODEL).generate(questions, silent=True)

    assert [len(row) for row in rows] == [1] * 12
    again = [LLM(MODEL).generate(question, silent=True)[0][0] for question in questions]
    assert [row[0] for row in rows] == again


def test_n_samples_are_n_requests_cached_each_on_its_own() -> None:
    llm = LLM(MODEL)

    rows = llm.generate(["Name a colour.", "Name a river."], n=3, silent=True)
    again = llm.generate(["Name a colour.", "Name a river."], n=3, silent=True)

    assert [len(row) for row in rows] == [3, 3]
    assert (llm.totals.requests, llm.totals.cache_hits) == (12, 6)
    assert again == rows


def test_totals_count_what_was_used_and_cache_hits_apart() -> None:
    llm = LLM(MODEL)

    llm.generate(["One thing about totals?"], silent=True)
    first = llm.totals
    llm.generate(["One thing about totals?"], silent=True)

    assert first.requests == 1
    assert min(first.input_tokens, first.output_tokens) > 0
    assert llm.total_cost == first.cost_usd > 0
    assert (llm.totals.requests, llm.totals.cache_hits) == (2, 1)
    assert (llm.total_input_tokens, llm.total_output_tokens) == (first.input_tokens, first.output_tokens)


def test_cache_false_asks_again(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL)

    for _ in range(2):
        llm.generate("Asked twice on purpose", cache=False, silent=True)

    assert (llm.totals.requests, llm.totals.cache_hits) == (2, 0)


def test_a_summary_is_printed_unless_silent(capsys: pytest.CaptureFixture[str]) -> None:
    LLM(MODEL).generate("Say something short about summaries.")
    shown = capsys.readouterr().out
    LLM(MODEL).generate("Say something short about silence.", silent=True)

    assert " in | " in shown
    assert "tok/s" in shown
    assert capsys.readouterr().out == ""


def test_chat_takes_the_dictionaries_of_the_field() -> None:
    conversation = [
        {"role": "system", "content": "Be concise."},
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3+3?"},
    ]

    assert LLM(MODEL).chat(conversation)
    assert LLM(MODEL).complete(conversation).finish_reason is FinishReason.STOP


def test_streaming_gives_the_same_text_in_pieces() -> None:
    pieces = list(LLM(MODEL).stream("Tell me about streaming"))

    assert len(pieces) > 1
    assert "".join(pieces) == LLM(MODEL).chat("Tell me about streaming")


def test_leaving_a_stream_early_stops_the_request() -> None:
    for piece in LLM(MODEL).stream("Tell me a very long story", max_tokens=2000):
        assert piece
        break

    assert LLM(MODEL).chat("Still there?")


async def test_events_keep_the_stream_contract() -> None:
    events = [event async for event in LLM(MODEL).astream_events("What are events?")]

    assert check_stream(events).text


async def test_async_twins_work_in_a_running_loop() -> None:
    rows, text = await asyncio.gather(LLM(MODEL).agenerate(["a?", "b?"]), LLM(MODEL).achat("c?"))

    assert len(rows) == 2
    assert text
    assert "".join([piece async for piece in LLM(MODEL).astream("c?")]) == text


async def test_plain_calls_work_inside_a_running_loop_as_in_a_notebook() -> None:
    assert LLM(MODEL).generate("Am I in a notebook?", silent=True)[0][0]


def test_many_threads_share_one_engine() -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda number: LLM(MODEL).chat(f"Thread {number}?"), range(24)))

    assert all(texts)
    assert [thread.name for thread in threading.enumerate()].count("llm-workbench") == 1


def test_the_callers_own_bound_is_kept(simulator: SimulatorThread) -> None:
    seen: list[tuple[int, int]] = []

    LLM(MODEL, max_concurrent=3).generate(
        [f"Bounded {number}?" for number in range(10)],
        silent=True,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(done, 10) for done in range(1, 11)]


def test_a_failure_is_raised_after_all_have_ended_and_carries_the_rest() -> None:
    prompts = ["Fine one?", [{"role": "user", "content": "Fine two?"}]]

    with pytest.raises(SomeFailed) as caught:
        multi_generate([MODEL, UNKNOWN], prompts, silent=True)

    results = caught.value.results
    assert isinstance(results, dict)
    assert [isinstance(row[0], str) for row in results[MODEL]] == [True, True]
    assert [isinstance(row[0], WorkbenchError) for row in results[UNKNOWN]] == [True, True]


def test_failures_can_be_returned_in_their_places() -> None:
    rows = LLM(UNKNOWN, max_retries=0).generate(["x?", "y?"], errors="return", silent=True)

    assert [isinstance(row[0], WorkbenchError) for row in rows] == [True, True]


def test_multi_chat_gives_a_text_per_model() -> None:
    answers = multi_chat([MODEL, "local/qwen3-8b"], [{"role": "user", "content": "Hello"}])

    assert set(answers) == {MODEL, "local/qwen3-8b"}
    assert all(answers.values())


@pytest.mark.parametrize("prompts", [[], ()], ids=["list", "tuple"])
def test_no_prompts_are_no_answers(prompts: list[str]) -> None:
    assert LLM(MODEL).generate(prompts, silent=True) == []


@pytest.mark.parametrize("prompts", [[None], ["fine", ""], ["fine", 7]])
def test_a_wrong_prompt_is_refused_before_anything_is_sent(prompts: list[object]) -> None:
    llm = LLM(MODEL)

    with pytest.raises(UsageError, match=f"prompt {len(prompts) - 1}: "):
        llm.generate(prompts, silent=True)  # type: ignore[arg-type]  # wrong on purpose

    assert llm.totals.requests == 0


def test_ten_megabytes_of_prompt_are_an_error_of_the_provider_and_not_a_crash() -> None:
    with pytest.raises(WorkbenchError):
        LLM(MODEL, max_retries=0).chat([Message.user("x" * 10_000_000)])


def test_a_child_forked_before_the_first_call_has_an_engine_of_its_own() -> None:
    script = (
        "import os\nfrom workbench import LLM\n"
        f"llm = LLM({MODEL!r})\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if llm.chat('child') else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\nassert llm.chat('parent')\n"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "raise SystemExit(0)",
        "import asyncio; asyncio.run(llm.achat('more'))",
        "s = llm.stream('never read'); next(s)",
    ],
    ids=["falls off the end", "exits", "after asyncio.run", "in the middle of a stream"],
)
def test_a_script_ends_cleanly(ending: str) -> None:
    script = (
        f"from workbench import LLM\nllm = LLM({MODEL!r})\n"
        f"print(len(llm.generate(['a', 'b'], silent=True)))\n{ending}\n"
    )

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "2\n", "")


def test_savings_of_both_caches_are_added_up_apart(own_environment: Path) -> None:
    llm = LLM(MODEL)
    long_prefix = "You know all of these rules by heart. " * 400
    for question in ("Which?", "And then?", "And then?"):
        llm.chat(question, long_prefix)

    used = llm.totals
    close_shared_loop_thread()

    assert used.cached_tokens > 0
    assert used.saved_prefix_cache_usd > 0
    assert used.saved_response_cache_usd > 0
    database = Database(Paths.from_environment(os.environ).database)
    (total,) = asyncio.run(totals(database, GroupBy.MODEL))
    database.close()
    assert total.saved_prefix_cache_usd == pytest.approx(used.saved_prefix_cache_usd)
    assert total.saved_response_cache_usd == pytest.approx(used.saved_response_cache_usd)


def test_control_c_stops_at_once_and_keeps_what_had_finished() -> None:
    script = (
        "import sys\nfrom workbench import LLM\n"
        f"llm = LLM({MODEL!r}, max_concurrent=2)\n"
        "def seen(done, total):\n    print(done, flush=True)\n"
        "try:\n    llm.generate([f'Number {i}?' for i in range(100_000)], silent=True, on_progress=seen)\n"
        "except KeyboardInterrupt:\n    before = llm.totals.requests\n"
        "    llm.generate([f'Number {i}?' for i in range(3)], silent=True)\n"
        "    print('kept', llm.totals.cache_hits)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 5:
        pass

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)

    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "kept 3"


def test_defaults_of_an_object_are_under_those_of_a_call() -> None:
    llm = LLM(MODEL, max_tokens=5)

    assert llm.complete("A long answer, please").finish_reason is FinishReason.LENGTH
    assert llm.complete("A long answer, please", max_tokens=4000).finish_reason is FinishReason.STOP


def test_the_environment_is_read_when_the_engine_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(WorkbenchError, match="OPENAI_API_KEY"):
        LLM(MODEL).chat("No key?")
    assert "OPENAI_API_KEY" not in os.environ


async def test_calls_are_recorded_with_what_they_came_to(own_environment: Path) -> None:
    llm = LLM(MODEL)
    llm.generate(["Recorded?", "And this?"], silent=True)
    LLM(UNKNOWN, max_retries=0).generate("Failed?", errors="return", silent=True)
    close_shared_loop_thread()

    database = Database(Paths.from_environment(os.environ).database)
    (total,) = await totals(database, GroupBy.SESSION)
    prompts = {run.prompt for run in await Runs(database).latest()}
    await database.aclose()

    assert prompts == {"Recorded?", "And this?", "Failed?"}
    assert (total.requests, total.failed, total.output_tokens) == (3, 1, llm.total_output_tokens)


def test_history_can_be_turned_off(own_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = own_environment / "own.toml"
    config.write_text("[history]\nenabled = false\n")
    monkeypatch.setenv("LLM_WORKBENCH_CONFIG", str(config))

    LLM(MODEL).chat("Unrecorded?")
    close_shared_loop_thread()

    assert not Paths.from_environment(os.environ).database.exists()


def test_a_prompt_that_hinders_the_providers_cache_is_remarked_on_once() -> None:
    llm = LLM(MODEL)
    rules = "Answer as the harbour master would, in short sentences. " * 120

    notes = [llm.complete(f"Boat {number}?\n{rules}").notes for number in range(3)]

    assert [any(note.startswith("layout: ") for note in said) for said in notes] == [False, True, False]

from __future__ import annotations

import io
import json

import pytest

from workbench.cli.answers import Answer, Output, as_json, error_line, figures_of
from workbench.core.clock import NS_PER_S
from workbench.core.errors import MissingKey, RateLimited, WorkbenchError
from workbench.core.types import FinishReason, KeyAlias, Result, Route, Timing, Usage

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "https://x")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def result(text: str = "Hello.", *, finish: FinishReason = FinishReason.STOP, usage: Usage | None = None) -> Result:
    return Result(
        text=text,
        reasoning="",
        finish_reason=finish,
        usage=usage,
        cost_usd=None,
        timing=Timing(
            submitted_ns=0,
            admitted_ns=NS_PER_S // 2,
            sent_ns=NS_PER_S // 2,
            first_token_ns=NS_PER_S,
            last_token_ns=3 * NS_PER_S,
            done_ns=3 * NS_PER_S,
        ),
        route=ROUTE,
    )


def test_figures_are_null_where_nobody_knows_them() -> None:
    shown = as_json(Answer("gpt-5.4", result()))

    assert shown["usage"] is None
    assert shown["cost_usd"] is None
    assert shown["tpot_s"] is None
    assert (shown["ttft_s"], shown["e2e_s"], shown["queue_s"]) == (0.5, 3.0, 0.5)


def test_a_failure_tells_apart_what_came_and_what_did_not() -> None:
    error = RateLimited("Slow down.", status=429, retry_after_s=2.0, provider="openai", hint="Wait.")

    nothing = as_json(Answer("gpt-5.4", result("", finish=FinishReason.INCOMPLETE), error))
    partial = as_json(Answer("gpt-5.4", result("Hel", finish=FinishReason.INCOMPLETE), error))

    assert nothing["finish_reason"] is None
    assert partial["finish_reason"] == "incomplete"
    assert partial["error"] == {
        "type": "RateLimited",
        "title": "rate limit",
        "message": "Slow down.",
        "hint": "Wait.",
        "status": 429,
        "code": "",
        "request_id": None,
        "retry_after_s": 2.0,
    }


def test_an_answer_that_never_had_a_route_has_the_same_fields() -> None:
    without = as_json(Answer("gpt-5.4", None, MissingKey("openai", ("OPENAI_API_KEY",))))

    assert list(without) == list(as_json(Answer("gpt-5.4", result())))
    assert without["error"] == {
        "type": "MissingKey",
        "title": "no key",
        "message": "No key for openai.",
        "hint": "Set OPENAI_API_KEY, or run with --demo.",
        "status": None,
    }


def test_an_error_that_carries_a_key_does_not_show_it() -> None:
    error = WorkbenchError("Incorrect API key: sk-abcdefghijklmnop")

    assert "sk-abc" not in error_line(Answer("m", None, error))
    assert "sk-abc" not in json.dumps(as_json(Answer("m", None, error)))


def test_figures_say_what_is_known() -> None:
    assert figures_of(result(usage=Usage(input=3, output=21))) == "21 tok · TTFT 0.50s · 10 t/s · cost —"
    assert figures_of(result()) == "TTFT 0.50s · cost —"


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """To be called inside a test: pytest puts its own stdout in place after the fixtures have run."""
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    return screen


HOSTILE = ("harmless \x1b]0;own", "ed\x07\x1b[2Jtext \u202e\x9b31mred")


def test_control_codes_do_not_reach_a_terminal_even_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    output = Output()

    for piece in HOSTILE:
        output.piece(piece)
    output.end()

    assert terminal.getvalue() == "harmless text red\n"


def test_whole_answers_and_json_lines_are_harmless_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    output = Output()

    output.whole(Answer("gpt-5.4", result("".join(HOSTILE))))
    output.json_line(Answer("gpt-5.4", result("\u202e\x9b31mred")))

    assert "harmless text red" in terminal.getvalue()
    assert not set("\x1b\x07\x9b\u202e") & set(terminal.getvalue())


def test_a_pipe_gets_what_the_model_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()

    for piece in HOSTILE:
        output.piece(piece)
    output.end()

    assert capsys.readouterr().out == "".join(HOSTILE) + "\n"


def test_half_a_surrogate_pair_does_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="utf-8"))

    Output().json_line(Answer("gpt-5.4", result("\ud83d", usage=None)))

    assert json.loads(raw.getvalue())["text"] == "?"


def test_waiting_is_shown_only_to_somebody_who_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Output().status("thinking …")
    assert capsys.readouterr().err == ""

    watched = Terminal()
    monkeypatch.setattr("sys.stderr", watched)
    output = Output()
    output.status("thinking …")
    output.status("")
    assert watched.getvalue() == "\r\x1b[Kthinking …\r\x1b[K"


def test_a_key_alias_is_no_secret() -> None:
    error = RateLimited("openai#2 is cooling.", key_alias=KeyAlias("openai#2"))

    assert "openai#2" in error_line(Answer("m", None, error))

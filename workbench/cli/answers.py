"""Answers as the shell shows them: text as it streams, text in whole, or one JSON object per line.

What models write goes to stdout and nothing else does; waiting, figures and errors go to stderr. On a terminal control
codes are taken out of everything; into a pipe or a file goes what the model wrote.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.core.errors import ProviderError, WorkbenchError
from workbench.core.redact import redact
from workbench.core.terminal import redraws
from workbench.core.text import ControlStripper, strip_control
from workbench.core.types import Json, Result
from workbench.session import figures

if TYPE_CHECKING:
    from workbench.engine.notices import Notice


@dataclass(frozen=True, slots=True)
class Answer:
    """How one model's request ended."""

    model: str
    """As it was written on the command line."""
    result: Result | None
    """None when the request did not even get as far as a route."""
    error: WorkbenchError | None = None
    held: bool = False
    """True when it had to fit a schema: then `value` is the object in it, or None where it did not fit."""
    value: Json = None

    @property
    def text(self) -> str:
        """What is shown of it: an object that fits as JSON, anything else as the model wrote it."""
        if self.held and self.error is None:
            return json.dumps(self.value, ensure_ascii=False, indent=2)
        return "" if self.result is None else self.result.text


def as_json(answer: Answer) -> dict[str, Json]:
    """The object of one `--json` line. Seconds and USD; null is unknown."""
    return {**_as_json(answer), **({"object": answer.value} if answer.held else {})}


def _as_json(answer: Answer) -> dict[str, Json]:
    result, error = answer.result, answer.error
    if result is None:
        return {**_NO_RESULT, "model": answer.model, "error": None if error is None else error_as_json(error)}
    usage, timing = result.usage, result.timing
    said_something = bool(result.text or result.reasoning or result.tool_calls)
    return {
        "model": answer.model,
        "text": result.text,
        "reasoning": result.reasoning,
        "finish_reason": result.finish_reason.value if error is None or said_something else None,
        "usage": None if usage is None else usage.as_json(),
        "cost_usd": result.cost_usd,
        "ttft_s": _rounded(timing.ttft_s),
        "tpot_s": _rounded(timing.tpot_s(usage.output)) if usage else None,
        "e2e_s": _rounded(timing.e2e_s),
        "queue_s": _rounded(timing.queue_s),
        "cached": result.cached,
        "similarity": _rounded(result.similarity),
        "attempts": result.attempts,
        "provider": result.route.provider or None,
        "wire_model": result.route.wire_model or None,
        "error": None if error is None else error_as_json(error),
    }


_NO_RESULT: dict[str, Json] = {
    "model": "",
    "text": "",
    "reasoning": "",
    "finish_reason": None,
    "usage": None,
    "cost_usd": None,
    "ttft_s": None,
    "tpot_s": None,
    "e2e_s": None,
    "queue_s": None,
    "cached": False,
    "similarity": None,
    "attempts": 0,
    "provider": None,
    "wire_model": None,
    "error": None,
}


def error_as_json(error: WorkbenchError) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "type": type(error).__name__,
        "title": error.title,
        "message": redact(error.message),
        "hint": redact(error.hint),
        "status": None,
    }
    if isinstance(error, ProviderError):
        shown |= {
            "status": error.status,
            "code": redact(error.code),
            "request_id": error.request_id,
            "retry_after_s": error.retry_after_s,
        }
    return shown


def figures_of(result: Result) -> str:
    """`318 tok · TTFT 0.41s · 87 t/s · $0.0041`, as far as known."""
    usage, timing = result.usage, result.timing
    parts: list[str] = []
    if usage is not None:
        parts.append(figures.tokens(usage.output))
    if result.cached:
        saved = "" if result.saved_usd is None else f", saved {figures.cost(result.saved_usd)}"
        alike = "" if result.similarity is None else f" (a question ≈ {result.similarity:.2f} like this one)"
        return " · ".join([*parts, f"from the cache{alike}{saved}"])
    if (ttft_s := timing.ttft_s) is not None:
        parts.append(f"TTFT {figures.seconds(ttft_s)}")
    if usage is not None and (tpot_s := timing.tpot_s(usage.output)):
        parts.append(figures.rate(1 / tpot_s))
    parts.append(f"cost {figures.UNKNOWN}" if result.cost_usd is None else figures.cost(result.cost_usd))
    if result.prefix_saved_usd:
        parts.append(f"saved {figures.cost(result.prefix_saved_usd)} by prefix caching")
    if result.attempts > 1:
        parts.append(f"{result.attempts} attempts")
    return " · ".join(parts)


def error_line(answer: Answer) -> str:
    assert answer.error is not None
    said = str(answer.error)
    # What a provider refuses says by itself what kind of refusal it is.
    kind = "" if answer.error.title in said else f"{answer.error.title}: "
    return strip_control(redact(f"{answer.model}: {kind}{said}"))


class Output:
    """Standard output and error, each either a terminal or not."""

    def __init__(self) -> None:
        # A model may write half a surrogate pair, which no encoding has.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        self._to_terminal = sys.stdout.isatty()
        self._watched = sys.stderr.isatty()
        self._redraws = redraws(sys.stderr)
        self._stripper = ControlStripper()
        self._status = ""
        self._last = "\n"

    # Standard output

    def piece(self, text: str) -> None:
        """A part of the one answer that streams."""
        self._put(self._stripper.feed(text) if self._to_terminal else text)

    def end(self) -> None:
        """The streaming answer is over, whole or not."""
        self.status("")
        self._put(self._stripper.finish() if self._to_terminal else "")
        if self._last != "\n":
            self._put("\n")

    def whole(self, answer: Answer) -> None:
        """A finished answer among several, under a line that says whose it is."""
        result = answer.result
        if result is not None and (answer.error is None or result.text):
            ending = "" if answer.error is None else " · incomplete"
            self._put(f"── {answer.model} · {figures_of(result)}{ending}\n\n")
            text = answer.text.strip("\n")
            self._put(f"{strip_control(text) if self._to_terminal else text}\n\n")
        if answer.error is not None:
            self.note(error_line(answer))

    def json_line(self, answer: Answer) -> None:
        line = json.dumps(as_json(answer), ensure_ascii=False)
        # JSON escapes the C0 controls; the C1 ones and bidirectional marks it leaves as they are.
        self._put(f"{strip_control(line) if self._to_terminal else line}\n")

    def _put(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._last = text[-1]

    # Standard error

    def status(self, text: str) -> None:
        """What is being waited for, in a line that goes away; only where somebody watches."""
        if self._redraws and text != self._status:
            # A line that wraps would not go away.
            sys.stderr.write(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()
            self._status = text

    def note(self, text: str) -> None:
        self.status("")
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def notice(self, notice: Notice) -> None:
        """Something that concerns the whole run, on a line of its own even while an answer streams."""
        if self._to_terminal and self._watched and self._last != "\n":
            self._put("\n")
        self.note(str(notice))

    def footnote(self, text: str) -> None:
        """Like `note`, for what is nice to see and no use in a log."""
        if self._watched:
            self.note(text)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)

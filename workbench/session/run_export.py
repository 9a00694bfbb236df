"""A recorded run as Markdown to read or as JSON lines to work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import msgspec

from workbench.core.text import strip_control
from workbench.core.types import Message
from workbench.session.anatomy import anatomy_of, recorded_timing
from workbench.store.runs import Answer, Run

NOT_KEPT = "(text was not kept)"


Before = Mapping[str, tuple[Message, ...]]
"""What had been said before an answer, by its id; nothing for the answer to a first question."""

NOTHING_BEFORE: Before = {}


def as_jsonl(run: Run, answers: Sequence[Answer], before: Before = NOTHING_BEFORE) -> str:
    """One object per answer, with the run's prompt in each: lines that mean something on their own."""
    about = {"run": run.id, "created_s": run.created_s, "kind": run.kind, "system": run.system, "prompt": run.prompt}
    lines = [
        msgspec.json.encode({**about, **_without_run(answer), **_conversation(before.get(answer.id, ()))}).decode()
        for answer in answers
    ]
    return "".join(f"{line}\n" for line in lines)


def as_markdown(run: Run, answers: Sequence[Answer], before: Before = NOTHING_BEFORE) -> str:
    when = datetime.fromtimestamp(run.created_s).astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [f"# {run.name or 'Run'} {run.id}\n\n{when} · {run.kind}"]
    if run.system:
        parts.append(f"## System\n\n{run.system}")
    parts.append(f"## Prompt\n\n{run.prompt if run.prompt is not None else NOT_KEPT}")
    parts += [_section(answer, before.get(answer.id, ())) for answer in answers]
    return strip_control("\n\n".join(parts) + "\n")


def figures_line(answer: Answer) -> str:
    """`TTFT 0.41 s · 87 tok/s · 318 tok · $0.0042`, without what is not known."""
    figures = []
    if answer.cached:
        figures.append("from cache")
    if answer.ttft_s is not None:
        figures.append(f"TTFT {answer.ttft_s:.2f} s")
    if answer.tpot_s:
        figures.append(f"{1 / answer.tpot_s:.0f} tok/s")
    if answer.output_tokens is not None:
        figures.append(f"{answer.output_tokens} tok")
    figures.append(f"${answer.cost_usd:.4f}" if answer.cost_usd is not None else "cost unknown")
    return " · ".join(figures)


def _section(answer: Answer, before: Sequence[Message]) -> str:
    parts = [f"## {answer.model}\n\n*{figures_line(answer)}*", _anatomy_line(answer)]
    if before:
        turns = "\n>\n".join(_quoted(f"**{message.role}:** {message.text}") for message in before)
        parts.append(f"### Before\n\n{turns}\n\n### Answer")
    if answer.reasoning:
        parts.append(f"### Reasoning\n\n{_quoted(answer.reasoning)}")
    parts.append(answer.text if answer.text is not None else NOT_KEPT)
    if answer.error_title:
        parts.append(f"*({answer.error_title}: {answer.error_message or NOT_KEPT})*")
    elif not answer.finish_reason.is_complete:
        parts.append(f"*({answer.finish_reason})*")
    return "\n\n".join(part for part in parts if part)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _conversation(before: Sequence[Message]) -> dict[str, object]:
    return {"conversation": [{"role": message.role, "text": message.text} for message in before]} if before else {}


def _anatomy_line(answer: Answer) -> str:
    """Where its time went, in code quotes so that the bar keeps its width; empty for an answer out of the cache."""
    anatomy = None if answer.cached else anatomy_of(recorded_timing(answer.timing))
    line = anatomy.line() if anatomy is not None else ""
    return f"`{line}`" if line else ""


def _without_run(answer: Answer) -> dict[str, object]:
    return {name: value for name, value in asdict(answer).items() if name != "run_id"}

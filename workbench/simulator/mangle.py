"""What faults do to bytes: a stream of steps goes in, a damaged one comes out.

Only used when a request has a fault, so a healthy stream pays nothing for it. Works on any dialect: it knows which
steps carry output and which one is the end mark, and is given the few frames that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from workbench.simulator.faults import Fault, FaultKind
from workbench.simulator.stream import Step

PING_EVERY_S = 0.05
MAX_PINGS = 2_000
PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Welcome to the network</h1><p>Please accept the terms of use to go on.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class Frames:
    """A dialect's own way of saying what faults need said."""

    error: Callable[[], bytes]
    """An error inside a 200, made when it is due: it may carry a number."""
    ping: bytes = b": ping\n\n"
    comment: bytes = b": keep-alive\n\n"
    empty_choices: bytes = b""
    missing_choices: bytes = b""
    blank: bytes = field(default=b"data:\n\n")
    garbled: bytes = field(default=b'data: {"choices": [{"delta": {"content": "oh\n\n')


def mangled(steps: Iterable[Step], faults: Sequence[Fault], frames: Frames) -> Iterable[Step]:
    for fault in faults:
        steps = _apply(steps, fault, frames)
    return steps


def _apply(steps: Iterable[Step], fault: Fault, frames: Frames) -> Iterable[Step]:
    match fault.kind:
        case FaultKind.SLOW_START:
            return _delayed(steps, 0, fault.seconds, anything=True)
        case FaultKind.SLOW_FIRST_TOKEN:
            return _delayed(steps, 0, fault.seconds)
        case FaultKind.STALL:
            return _delayed(steps, fault.after, fault.seconds)
        case FaultKind.ERROR_EVENT:
            return _ended(steps, fault.after, frames.error)
        case FaultKind.CUT:
            return _ended(steps, fault.after, lambda: b"")
        case FaultKind.DROP:
            return _ended(steps, fault.after, lambda: None)
        case FaultKind.TRUNCATED_JSON:
            return _truncated(steps, fault.after)
        case FaultKind.EMPTY:
            return ()
        case FaultKind.NO_DONE:
            return (step for step in steps if not step.is_end)
        case FaultKind.NO_FINAL_NEWLINE:
            return _without_last_newline(steps)
        case FaultKind.GARBLED_JSON:
            return _inserted(steps, frames.garbled, only_at=fault.after)
        case FaultKind.COMMENTS:
            return _inserted(steps, frames.comment)
        case FaultKind.PINGS:
            return _pinged(steps, frames.ping)
        case FaultKind.BLANK_DATA:
            return _inserted(steps, frames.blank)
        case FaultKind.EMPTY_CHOICES:
            return _inserted(steps, frames.empty_choices)
        case FaultKind.MISSING_CHOICES:
            return _inserted(steps, frames.missing_choices)
        case FaultKind.CRLF:
            return _with_line_ends(steps, b"\r\n")
        case FaultKind.CR:
            return _with_line_ends(steps, b"\r")
        case FaultKind.SPLIT:
            return _split(steps, max(1, fault.size))
        case _:
            return steps


def _delayed(steps: Iterable[Step], after: int, seconds: float, *, anything: bool = False) -> Iterator[Step]:
    seen, delay_s = 0, seconds if anything else 0.0
    for step in steps:
        if step.tokens:
            if seen == after:
                delay_s = seconds
            seen += 1
        yield step._replace(at_s=step.at_s + delay_s)


def _ended(steps: Iterable[Step], after: int, last: Callable[[], bytes | None]) -> Iterator[Step]:
    """Stops before output event number `after`, or before the end mark of a shorter answer."""
    seen = 0
    for step in steps:
        if step.is_end or (step.tokens and seen >= after):
            yield Step(step.at_s, last())
            return
        seen += bool(step.tokens)
        yield step


def _truncated(steps: Iterable[Step], after: int) -> Iterator[Step]:
    seen = 0
    for step in steps:
        if step.data and (step.is_end or (step.tokens and seen >= after)):
            yield step._replace(data=step.data[: len(step.data) // 2], tokens=0)
            return
        seen += bool(step.tokens)
        yield step


def _inserted(steps: Iterable[Step], frame: bytes, *, only_at: int | None = None) -> Iterator[Step]:
    seen = 0
    for step in steps:
        if step.tokens:
            if only_at is None or only_at == seen:
                yield Step(step.at_s, frame)
            seen += 1
        yield step


def _pinged(steps: Iterable[Step], frame: bytes) -> Iterator[Step]:
    last_s = 0.0
    for step in steps:
        if step.tokens:
            count = min(MAX_PINGS, int((step.at_s - last_s) / PING_EVERY_S)) or 1
            gap_s = (step.at_s - last_s) / (count + 1)
            yield from (Step(last_s + gap_s * (n + 1), frame) for n in range(count))
        last_s = step.at_s
        yield step


def _with_line_ends(steps: Iterable[Step], line_end: bytes) -> Iterator[Step]:
    # JSON escapes its own line ends, so every raw one belongs to the framing.
    for step in steps:
        if step.data is not None:
            step = step._replace(data=step.data.replace(b"\r\n", b"\n").replace(b"\n", line_end))
        yield step


def _split(steps: Iterable[Step], size: int) -> Iterator[Step]:
    for step in steps:
        if not step.data:
            yield step
            continue
        starts = range(0, len(step.data), size)
        for start in starts:
            is_last = start == starts[-1]
            yield Step(
                step.at_s + 0.001 * start / size,
                step.data[start : start + size],
                step.tokens if is_last else 0,
                step.is_end and is_last,
            )


def _without_last_newline(steps: Iterable[Step]) -> Iterator[Step]:
    held: Step | None = None
    for step in steps:
        if held is not None:
            yield held
        held = step
    if held is not None:
        yield held if held.data is None else held._replace(data=held.data.rstrip(b"\n"))


def mangled_body(at_s: float, body: bytes, tokens: int, faults: Sequence[Fault]) -> list[Step]:
    """A body that comes in one piece, as the same faults leave it."""
    kinds = {fault.kind for fault in faults}
    delay_s = sum(f.seconds for f in faults if f.kind in (FaultKind.SLOW_START, FaultKind.SLOW_FIRST_TOKEN))
    at_s += delay_s
    if kinds & {FaultKind.EMPTY}:
        return []
    if kinds & {FaultKind.DROP, FaultKind.CUT}:
        return [Step(at_s, body[: len(body) // 2]), Step(at_s, None)]
    if kinds & {FaultKind.TRUNCATED_JSON, FaultKind.GARBLED_JSON}:
        return [Step(at_s, body[: len(body) // 2])]
    stall = next((fault for fault in faults if fault.kind is FaultKind.STALL), None)
    if stall:
        half = len(body) // 2
        return [Step(at_s, body[:half]), Step(at_s + stall.seconds, body[half:], tokens)]
    if FaultKind.SPLIT in kinds:
        return list(_split([Step(at_s, body, tokens)], max(64, len(body) // 50)))
    return [Step(at_s, body, tokens)]

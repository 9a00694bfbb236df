"""What the batch adapters share: a row as a call, lines as a file, an answer's body as a result."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec

from workbench.core.clock import Clock
from workbench.core.errors import (
    BadRequest,
    BatchNotFound,
    KeyRejected,
    MalformedResponse,
    ModelNotFound,
    ProviderError,
    TimedOut,
    TimeoutKind,
)
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, Route, Usage
from workbench.providers.base import Call, Deadlines, WireEnd, WireEvent
from workbench.providers.batch import BatchAccount, BatchResult, BatchRow
from workbench.providers.batch_lines import size_of
from workbench.providers.dialogue import Decoder, Facts
from workbench.providers.failures import Witness, secrets_in
from workbench.providers.fetching import Account, fetch
from workbench.providers.http import Connections
from workbench.providers.transport_errors import Place

SMALL = Deadlines(first_token_s=60.0, total_s=60.0)
"""For a question with a short answer."""

LARGE = Deadlines(first_token_s=1_800.0, idle_s=60.0, total_s=3_600.0)
"""For moving 200 MB, either way, over a line that manages 1 Mbit/s."""

PIECE_BYTES = 256 * 1024

CLOCKS_APART_S = 600.0
"""How far a provider's clock and ours may differ when a batch is looked for by its time."""


def call_of(account: BatchAccount, model: str, row: BatchRow) -> Call:
    """The row as a live call that does not stream, for the code that turns those into bodies."""
    spec = replace(account.spec, base_url=account.base_url)
    route = Route(f"{spec.prefix}/{model}", spec.name, model, account.base_url)
    return Call(route, spec, row.messages, row.params, account.key, account.key_alias, SMALL, stream=False)


def asked(account: BatchAccount, model: str = "") -> Account:
    return Account(replace(account.spec, base_url=account.base_url), account.key, account.key_alias, model)


def witness_of(account: BatchAccount, model: str = "") -> Witness:
    place = Place(account.spec.title or account.spec.name, account.base_url, model, account.key_alias)
    return Witness(place, account.key, account.spec.key_variables, secrets_in(account.spec.headers))


def encoded(line: Mapping[str, object], witness: Witness) -> bytes:
    try:
        return msgspec.json.encode(line)
    except UnicodeEncodeError as exc:
        raise witness.unwritable() from exc
    except (TypeError, ValueError) as exc:
        raise BadRequest(f"This row cannot be written as JSON: {exc}", **witness.details()) from exc


@contextmanager
def about(batch_id: str, witness: Witness) -> Iterator[None]:
    """Inside, what the provider does not find is this batch, or what it wrote."""
    try:
        yield
    except (ModelNotFound, KeyRejected) as error:
        if isinstance(error, KeyRejected) and "may not exist" not in error.message:
            raise  # Gemini says so of files that are gone; all others mean the key.
        alias = witness.place.key_alias or "this key"
        raise BatchNotFound(
            f"{witness.place.provider} shows {alias} no batch {witness.clean(batch_id)}, or has deleted its results.",
            **witness.details(
                error.headers, hint="Check the id and the account; results are kept for some weeks only."
            ),
        ) from error


async def create_once(
    connections: Connections,
    account: Account,
    path: str,
    body: Mapping[str, Any],
    clock: Clock,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Post what costs money, and its answer. Nobody on the way sends it a second time.

    A transport repeats what died on a connection that had been idle, unless it is a stream: the provider may have taken
    it. Whether it did is for `find_batch` to tell.
    """
    written = msgspec.json.encode(body)

    async def stream() -> AsyncIterator[bytes]:
        yield written

    answer, _ = await fetch(
        connections,
        account,
        path,
        content=stream(),
        headers={"content-length": str(len(written)), **(headers or {})},
        deadlines=SMALL,
        clock=clock,
    )
    return answer


def not_run(witness: Witness, why: str, code: str, *, expired: bool) -> ProviderError:
    """The error of a row that a batch did not get to."""
    details = witness.details(hint="Submit the row again.")
    details["code"] = witness.clean(code)
    message = f"{witness.place.provider} did not run this row: {witness.clean(why)}"
    if expired:
        return TimedOut(message, kind=TimeoutKind.TOTAL, **details)
    return ProviderError(message, **details)


class LinesFile(io.RawIOBase):
    """Lines as one binary file, each ended with a line feed. Reads what it is asked for and joins nothing."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        super().__init__()
        self._lines = lines
        self.size = size_of(lines)
        self._left = iter(lines)
        self._rest = b""
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To the beginning or to the end, which is all that a reader needs who wants to know the size."""
        if whence == io.SEEK_END and offset == 0:
            self._left, self._rest, self._at = iter(()), b"", self.size
        elif whence == io.SEEK_SET and offset == 0:
            self._left, self._rest, self._at = iter(self._lines), b"", 0
        elif not (whence == io.SEEK_SET and offset == self._at):
            raise io.UnsupportedOperation("only the beginning and the end can be sought")
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = self.size
        parts = [self._rest]
        found = len(self._rest)
        while found < size and (line := next(self._left, None)) is not None:
            parts += (line, b"\n")
            found += len(line) + 1
        data = b"".join(parts)
        self._rest = data[size:]
        data = data[:size]
        self._at += len(data)
        return data


async def pieces(file: LinesFile) -> AsyncIterator[bytes]:
    """The file, for a request that is written as it is sent. Others get their turn after each piece."""
    while piece := file.read(PIECE_BYTES):
        yield piece
        await asyncio.sleep(0)


def result_of(
    custom_id: str, body: bytes, decoder: Decoder, facts: Facts, request_id: str | None = None
) -> BatchResult:
    """A row's answer, read by the decoder that reads live ones. What cannot be read is an error of this row alone."""
    events: list[WireEvent] = []
    try:
        decoder.decode_whole(body, 0, events)
        decoder.close(0, events)
        return _result(custom_id, events, facts, request_id)
    except ProviderError as error:
        error.request_id = error.request_id or request_id
        return BatchResult(custom_id, error=error, request_id=request_id)


def _result(custom_id: str, events: list[WireEvent], facts: Facts, request_id: str | None) -> BatchResult:
    said: dict[Channel, list[str]] = {channel: [] for channel in Channel}
    usage: Usage | None = None
    end: WireEnd | None = None
    for event in events:
        match event:
            case Delta():
                said[event.channel].append(event.text)
            case UsageReport():
                usage = event.usage
            case WireEnd():
                end = event
    if end is None:
        witness = facts.witness
        raise MalformedResponse(f"{witness.place.provider} wrote a result that holds no answer.", **witness.details())
    text, reasoning, tools = ("".join(said[channel]) for channel in (Channel.TEXT, Channel.REASONING, Channel.TOOL))
    return BatchResult(custom_id, text, reasoning, tools, end.finish_reason, usage, None, request_id)

"""Gemini's batches: google-genai writes the rows, our own connections move them.

The SDK has batches too, but it reads all results into memory and tries again behind our back. Small batches travel
inside the request that creates them, larger ones as an uploaded file; results come in the form that the rows had.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from workbench.core.clock import Clock
from workbench.core.decoding import NOT_JSON
from workbench.core.errors import BadRequest, MalformedResponse
from workbench.core.types import Message
from workbench.providers.batch import (
    BatchAccount,
    BatchCounts,
    BatchLimits,
    BatchResult,
    BatchRow,
    BatchState,
    BatchStatus,
    EncodedRow,
)
from workbench.providers.batch_lines import size_of
from workbench.providers.batch_rows import (
    CLOCKS_APART_S,
    LARGE,
    SMALL,
    LinesFile,
    about,
    asked,
    call_of,
    create_once,
    encoded,
    not_run,
    pieces,
    result_of,
    witness_of,
)
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.dialogue import Facts
from workbench.providers.failures import Witness, header
from workbench.providers.fetching import fetch, fetch_lines
from workbench.providers.gemini import GeminiAdapter, gemini_contents
from workbench.providers.gemini_decoder import GeminiDecoder
from workbench.providers.http import Connections

INLINE_BYTES: Final = 100_000
"""Up to here a batch needs no file. Gemini takes 20 MB, but the results of many such batches could not be fetched."""

_EXPIRES_S: Final = 48 * 3600.0
_STATES: Final = {
    "QUEUED": BatchState.VALIDATING,
    "PENDING": BatchState.VALIDATING,
    "RUNNING": BatchState.IN_PROGRESS,
    "UPDATING": BatchState.IN_PROGRESS,
    "SUCCEEDED": BatchState.COMPLETED,
    "PARTIALLY_SUCCEEDED": BatchState.COMPLETED,
    "FAILED": BatchState.FAILED,
    "EXPIRED": BatchState.EXPIRED,
    "CANCELLING": BatchState.CANCELLING,
    "CANCELLED": BatchState.CANCELLED,
    "PAUSED": BatchState.PAUSED,
}
"""Behind `BATCH_STATE_` or `JOB_STATE_`: the documentation has both."""

_CANCELLED, _EXPIRED = 1, 4
_CODES: Final = {
    3: (400, "INVALID_ARGUMENT"),
    5: (404, "NOT_FOUND"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    10: (409, "ABORTED"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
}
"""gRPC's numbers, as rows have them, and what a live answer would have said."""


_PATTERNS: Final = 64


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A body that the SDK wrote, into which other rows' words are put: writing each anew takes it 1 ms."""

    body: dict[str, Any]
    notes: tuple[str, ...]

    def filled(self, messages: tuple[Message, ...]) -> dict[str, Any]:
        contents, system = gemini_contents(messages)
        if system is None:
            return {**self.body, "contents": contents}
        instruction = {**self.body["systemInstruction"], "parts": [{"text": system}]}
        return {**self.body, "contents": contents, "systemInstruction": instruction}


class _Line(msgspec.Struct):
    key: str
    request: msgspec.Raw


class _Stats(msgspec.Struct):
    requestCount: int = 0
    successfulRequestCount: int = 0
    failedRequestCount: int = 0


class _Keyed(msgspec.Struct):
    key: str | None = None


class _Outcome(msgspec.Struct):
    key: str | None = None
    metadata: _Keyed | None = None
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


class _Inlined(msgspec.Struct):
    inlinedResponses: list[msgspec.Raw] = []


class _Output(msgspec.Struct):
    responsesFile: str | None = None
    inlinedResponses: _Inlined | None = None


class _Metadata(msgspec.Struct):
    state: str = ""
    displayName: str | None = None
    createTime: datetime | None = None
    endTime: datetime | None = None
    batchStats: _Stats = msgspec.field(default_factory=_Stats)
    output: _Output | None = None


class _Operation(msgspec.Struct):
    name: str
    metadata: _Metadata
    response: _Output | None = None
    error: dict[str, Any] | None = None


_decode_outcome: Final = msgspec.json.Decoder(_Outcome).decode


class GeminiBatches:
    """Batches at Gemini."""

    limits = BatchLimits(rows=200_000, body_bytes=2_000_000_000, row_bytes=20_000_000)

    def __init__(
        self, connections: Connections, clock: Clock, memory: ParameterMemory, *, inline_bytes: int = INLINE_BYTES
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        self._writer = GeminiAdapter(connections, clock, memory)
        self._inline_bytes = inline_bytes
        self._patterns: dict[object, _Pattern] = {}

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        pattern = self._pattern(account, model, row)
        request = pattern.filled(row.messages)
        line = encoded({"key": row.custom_id, "request": request}, witness_of(account, model))
        return EncodedRow(row.custom_id, line, pattern.notes)

    def _pattern(self, account: BatchAccount, model: str, row: BatchRow) -> _Pattern:
        """What rows with these parameters have in common, as the SDK writes it."""
        call = call_of(account, model, row)
        has_system = gemini_contents(row.messages)[1] is not None
        # Parameters may hold lists, which are no keys; nor should 1 and True be one.
        key = (call.route, repr(row.params), has_system, self._memory.refused(call.route))
        found = self._patterns.get(key)
        if found is None:
            body, notes = self._writer.body_of(call)
            if len(self._patterns) >= _PATTERNS:
                self._patterns.clear()
            found = self._patterns[key] = _Pattern(msgspec.json.decode(body), notes)
        return found

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str | None:
        size = size_of(lines)
        if size <= self._inline_bytes:
            return None
        witness = witness_of(account)
        root = asked(account).root
        base, _, version = root.rpartition("/")
        _, headers = await self._ask(
            account,
            f"{base}/upload/{version}/files",
            body={"file": {"display_name": name}},
            headers={
                "x-goog-upload-protocol": "resumable",
                "x-goog-upload-command": "start",
                "x-goog-upload-header-content-length": str(size),
                "x-goog-upload-header-content-type": "application/jsonl",
            },
        )
        url = header(headers, "x-goog-upload-url") or ""
        if url.split("/")[:3] != root.split("/")[:3]:  # scheme and host: the key goes nowhere else
            raise MalformedResponse(f"{witness.place.host} named no address to upload to.", **witness.details(headers))
        answer, _ = await fetch(
            self._connections,
            asked(account),
            url,
            content=pieces(LinesFile(lines)),
            headers={
                "content-length": str(size),
                "x-goog-upload-offset": "0",
                "x-goog-upload-command": "upload, finalize",
            },
            deadlines=LARGE,
            clock=self._clock,
        )
        try:
            return str(answer["file"]["name"])
        except (TypeError, KeyError) as exc:
            raise MalformedResponse(f"{witness.place.host} did not say what the upload is called.") from exc

    async def find_upload(self, account: BatchAccount, name: str) -> str | None:
        async with aclosing(self._pages(account, "files", "files")) as files:
            async for file in files:
                if file.get("displayName") == name:
                    return str(file.get("name"))
        return None

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        source: dict[str, Any] = {"fileName": file_id}
        if file_id is None:
            source = {"requests": {"requests": _inline(lines, witness_of(account, model))}}
        body = {"batch": {"displayName": tag, "inputConfig": source}}
        witness_of(account).check_key()
        path = f"models/{model}:batchGenerateContent"
        answer = await create_once(self._connections, asked(account), path, body, self._clock)
        return status_of(self._operation(answer, account))

    async def find_batch(
        self, account: BatchAccount, *, tag: str, file_id: str | None, custom_id: str, rows: int, since_s: float
    ) -> BatchStatus | None:
        async with aclosing(self._pages(account, "batches", "operations")) as found:
            async for row in found:
                status = status_of(self._operation(row, account))
                if status.created_s is not None and status.created_s < since_s - CLOCKS_APART_S:
                    return None
                if status.tag == tag:
                    return status
        return None

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return status_of(await self._one(account, batch_id))

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        with about(batch_id, witness_of(account)):
            await self._ask(account, f"{_name(batch_id)}:cancel", body={})
        status = await self.status(account, batch_id)
        # Until it is cancelled, Gemini calls it running.
        return status if status.state.is_terminal else replace(status, state=BatchState.CANCELLING)

    async def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        operation = await self._one(account, batch_id)
        facts = Facts(witness_of(account), self._clock)
        # They stand in one of two places, or in both.
        outputs = [output for output in (operation.response, operation.metadata.output) if output is not None]
        inlined = next((output.inlinedResponses for output in outputs if output.inlinedResponses), _Inlined())
        for outcome in inlined.inlinedResponses:
            yield read_outcome(bytes(outcome), facts)
        file = next((output.responsesFile for output in outputs if output.responsesFile), None)
        if file is None:
            return
        base, _, version = asked(account).root.rpartition("/")
        url = f"{base}/download/{version}/{_name(file, 'files')}:download?alt=media"
        with about(batch_id, facts.witness):
            async with aclosing(fetch_lines(self._connections, asked(account), url, LARGE, self._clock)) as lines:
                async for line in lines:
                    yield read_outcome(line, facts)

    async def _one(self, account: BatchAccount, batch_id: str) -> _Operation:
        with about(batch_id, witness_of(account)):
            # A small batch's results come along with its state.
            answer, _ = await self._ask(account, _name(batch_id))
        return self._operation(answer, account)

    async def _pages(self, account: BatchAccount, path: str, field: str) -> AsyncGenerator[dict[str, Any], None]:
        token = ""
        while True:
            answer, _ = await self._ask(account, f"{path}?pageSize=100{token}")
            page = answer if isinstance(answer, dict) else {}
            for row in page.get(field) or ():
                yield row
            if not page.get("nextPageToken"):
                return
            token = f"&pageToken={page['nextPageToken']}"

    async def _ask(self, account: BatchAccount, path: str, **options: Any) -> Any:
        witness_of(account).check_key()
        return await fetch(self._connections, asked(account), path, deadlines=SMALL, clock=self._clock, **options)

    def _operation(self, answer: Any, account: BatchAccount) -> _Operation:
        try:
            # The inlined responses are wanted as JSON again, row by row.
            return msgspec.json.decode(msgspec.json.encode(answer), type=_Operation, strict=False)
        except NOT_JSON as exc:
            witness = witness_of(account)
            raise MalformedResponse(f"{witness.place.host} sent what is no batch: {exc}", **witness.details()) from exc


def _inline(lines: Sequence[bytes], witness: Witness) -> list[dict[str, Any]]:
    """The lines as they travel within a request. Gemini would not notice that two have the same key."""
    rows = [msgspec.json.decode(line, type=_Line) for line in lines]
    if len({row.key for row in rows}) < len(rows):
        raise BadRequest("Duplicate keys among the rows of one batch.", **witness.details())
    return [{"request": row.request, "metadata": {"key": row.key}} for row in rows]


def _name(batch_id: str, folder: str = "batches") -> str:
    """A resource's name, given with its folder or without; whatever a person typed must not lead elsewhere."""
    return f"{folder}/{quote(batch_id.removeprefix(f'{folder}/'), safe='')}"


def status_of(operation: _Operation) -> BatchStatus:
    metadata, stats = operation.metadata, operation.metadata.batchStats
    word = metadata.state.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    state = _STATES.get(word, BatchState.IN_PROGRESS)
    done = stats.successfulRequestCount
    failed = stats.requestCount - done if state.is_terminal else stats.failedRequestCount
    created_s = None if metadata.createTime is None else metadata.createTime.timestamp()
    return BatchStatus(
        id=operation.name,
        state=state,
        counts=BatchCounts(stats.requestCount, done, failed),
        created_s=created_s,
        ended_s=None if metadata.endTime is None else metadata.endTime.timestamp(),
        expires_s=None if created_s is None else created_s + _EXPIRES_S,
        tag=metadata.displayName,
        problem=" ".join(str((operation.error or {}).get("message", "")).split()),
        raw_state=metadata.state,
    )


def read_outcome(line: bytes, facts: Facts) -> BatchResult:
    """One row's outcome. Raises `MalformedResponse` when it does not say which row it is about."""
    try:
        said = _decode_outcome(line)
    except NOT_JSON as exc:
        raise facts.malformed(line) from exc
    key = said.key or (said.metadata.key if said.metadata else None)
    if key is None:
        raise facts.malformed(line)
    if said.error is None:
        return result_of(key, bytes(said.response), GeminiDecoder(facts), facts)
    code, why = said.error.get("code"), str(said.error.get("message") or "no explanation")
    if code in (_CANCELLED, _EXPIRED):
        return BatchResult(key, error=not_run(facts.witness, why, str(code), expired=code == _EXPIRED))
    if isinstance(code, int) and code in _CODES:
        status, word = _CODES[code]
        said.error |= {"code": status, "status": word}
    error = facts.witness.failed_inside({"error": said.error}, (), facts.clock.wall())
    return BatchResult(key, error=error)

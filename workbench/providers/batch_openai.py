"""OpenAI's batches: a file of requests goes up, a file of answers and one of errors come back.

Through its SDK, but for the creation, which must not be sent twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from workbench.core.clock import Clock
from workbench.core.decoding import NOT_JSON
from workbench.core.errors import UnsupportedParameter
from workbench.core.types import Json, Params
from workbench.providers.base import WireFamily
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
    result_of,
    witness_of,
)
from workbench.providers.capabilities import ParameterMemory, traits_of, wire_family
from workbench.providers.chat_decoder import ChatDecoder
from workbench.providers.dialogue import Decoder, Facts
from workbench.providers.failures import Witness, headers_of
from workbench.providers.fitting import fit
from workbench.providers.http import Connections
from workbench.providers.openai_chat import chat_body
from workbench.providers.openai_responses import ResponsesDecoder, responses_body
from workbench.providers.openai_sdk import OpenAISDK
from workbench.providers.reading import Watch, read_body, read_lines

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI
    from openai.types import Batch

T = TypeVar("T")

TAG: Final = "llm_workbench"
"""The metadata entry that holds a batch's tag."""

CHAT_ENDPOINT: Final = "/v1/chat/completions"
_RESPONSES_ENDPOINT: Final = "/v1/responses"


class OpenAIBatches:
    """Files and batches at OpenAI."""

    limits = BatchLimits(rows=50_000, body_bytes=200_000_000, row_bytes=100_000_000)

    def __init__(self, sdk: OpenAISDK, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._sdk = sdk
        self._connections = connections
        self._clock = clock
        self._memory = memory

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        body, url, notes = request_body(account, model, row, self._memory)
        line = {"custom_id": row.custom_id, "method": "POST", "url": url, "body": body}
        return EncodedRow(row.custom_id, encoded(line, witness_of(account, model)), notes)

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str:
        witness = witness_of(account)
        files = self._client(account).files
        # To typing, an io.RawIOBase is no IO[bytes].
        file = (name, cast("IO[bytes]", LinesFile(lines)), "application/jsonl")
        made = await self._ask(
            files.create(file=file, purpose="batch", extra_headers=self._signed(account), timeout=_timeout()),
            witness,
            large=True,
        )
        return made.id

    async def find_upload(self, account: BatchAccount, name: str) -> str | None:
        files = self._client(account).files
        after: dict[str, Any] = {}
        while True:
            page = await self._ask(
                files.list(
                    purpose="batch", limit=1_000, extra_headers=self._signed(account), timeout=_timeout(), **after
                ),
                witness_of(account),
            )
            for file in page.data:
                if file.filename == name:
                    return file.id
            if not page.has_more or not page.data:
                return None
            after = {"after": page.data[-1].id}

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        from openai.types import Batch

        body = {
            "input_file_id": file_id,
            "endpoint": msgspec.json.decode(lines[0])["url"],
            "completion_window": "24h",
            "metadata": {TAG: tag},
        }
        client = self._client(account)
        # What the SDK adds to every other request: in another project the file would not be found.
        place = {"OpenAI-Organization": client.organization, "OpenAI-Project": client.project}
        headers = {name: value for name, value in place.items() if value and account.spec.name == "openai"}
        answer = await create_once(self._connections, asked(account, model), "batches", body, self._clock, headers)
        return status_of(Batch.construct(**answer))

    async def find_batch(
        self, account: BatchAccount, *, tag: str, file_id: str | None, custom_id: str, rows: int, since_s: float
    ) -> BatchStatus | None:
        batches = self._client(account).batches
        after: dict[str, Any] = {}
        while True:
            page = await self._ask(
                batches.list(limit=100, extra_headers=self._signed(account), timeout=_timeout(), **after),
                witness_of(account),
            )
            for batch in page.data:
                if batch.created_at < since_s - CLOCKS_APART_S:
                    return None
                is_ours = (batch.metadata or {}).get(TAG) == tag or (file_id and batch.input_file_id == file_id)
                if is_ours and not (status := status_of(batch)).is_queue_full:
                    return status
            if not page.has_more or not page.data:
                return None
            after = {"after": page.data[-1].id}

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return status_of(await self._retrieve(account, batch_id))

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        batches, witness = self._client(account).batches, witness_of(account)
        with about(batch_id, witness):
            batch = await self._ask(
                batches.cancel(batch_id, extra_headers=self._signed(account), timeout=_timeout()), witness
            )
        return status_of(batch)

    async def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        batch = await self._retrieve(account, batch_id)
        witness = witness_of(account, batch.model or "")
        with about(batch_id, witness):
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id is None:
                    continue
                async with aclosing(self._lines(account, file_id, witness)) as lines:
                    async for line in lines:
                        yield read_result(line, account, Facts(witness, self._clock))

    async def _retrieve(self, account: BatchAccount, batch_id: str) -> Batch:
        batches, witness = self._client(account).batches, witness_of(account)
        with about(batch_id, witness):
            return await self._ask(
                batches.retrieve(batch_id, extra_headers=self._signed(account), timeout=_timeout()), witness
            )

    async def _lines(self, account: BatchAccount, file_id: str, witness: Witness) -> AsyncGenerator[bytes, None]:
        """A file's content, as it comes."""
        import httpx
        import openai

        watch = Watch(LARGE, self._clock, witness.place)
        options: Any = {"headers": self._signed(account), "timeout": _timeout()}
        response: httpx.Response | None = None
        try:
            with self._sdk.translated(witness):
                response = await watch.wait(
                    self._client(account).get(
                        f"/files/{file_id}/content",
                        cast_to=httpx.Response,
                        options=options,
                        stream=True,
                        stream_cls=openai.AsyncStream[object],
                    )  # type: ignore[arg-type]  # with `stream` the SDK hands out the response, whatever it is cast to
                )
            assert response is not None
            if response.status_code >= 300:
                _, body = await read_body(response, watch, self._clock, witness.place)
                headers = headers_of(response.headers.multi_items())
                raise witness.refused(response.status_code, headers, body, self._clock.wall())
            async with aclosing(read_lines(response, watch, self._clock, witness.place)) as lines:
                async for line in lines:
                    yield line
        finally:
            watch.close()
            if response is not None:
                await response.aclose()

    async def _ask(self, question: Awaitable[T], witness: Witness, *, large: bool = False) -> T:
        watch = Watch(replace(LARGE, total_s=LARGE.first_token_s) if large else SMALL, self._clock, witness.place)
        try:
            with self._sdk.translated(witness):
                return await watch.wait(question)
        finally:
            watch.close()

    def _client(self, account: BatchAccount) -> AsyncOpenAI:
        witness_of(account).check_key()
        return self._sdk.client(account.spec, account.base_url)

    def _signed(self, account: BatchAccount) -> dict[str, Any]:
        return self._sdk.headers(account.spec, account.key)


def request_body(
    account: BatchAccount, model: str, row: BatchRow, memory: ParameterMemory
) -> tuple[dict[str, Json], str, tuple[str, ...]]:
    """A row's body, the endpoint it is for, and what was changed.

    All rows for one model go to one endpoint, as a batch demands; so what only the other one knows is refused here.
    """
    family = wire_family(account.spec, model, Params())
    call = call_of(account, model, row)
    if wire_family(account.spec, model, row.params) is not family:
        raise UnsupportedParameter(
            f"n: a batch of {model} gives one answer per row.",
            parameter="n",
            **witness_of(account, model).details(hint="Leave it out, and repeat the row instead."),
        )
    refused = memory.refused(call.route)
    fitted = fit(call.spec, model, row.params, refused)
    if family is WireFamily.OPENAI_RESPONSES:
        return responses_body(call, fitted, refused), _RESPONSES_ENDPOINT, fitted.notes
    return chat_body(call, fitted, refused), CHAT_ENDPOINT, fitted.notes


def _timeout() -> httpx.Timeout:
    import httpx

    return httpx.Timeout(None, connect=SMALL.connect_s)


_QUEUE_FULL: Final = "token_limit_exceeded"
_ENDS: Final = ("completed_at", "failed_at", "expired_at", "cancelled_at")
STATES: Final = {state.value.replace(" ", "_"): state for state in BatchState}


def status_of(batch: Batch) -> BatchStatus:
    counts = batch.request_counts
    problems = (batch.errors.data if batch.errors else None) or []
    said = "; ".join(f"line {p.line}: {p.message}" if p.line else str(p.message) for p in problems[:5])
    ended = next((value for name in _ENDS if (value := getattr(batch, name)) is not None), None)
    return BatchStatus(
        id=batch.id,
        state=STATES.get(batch.status, BatchState.IN_PROGRESS),
        counts=BatchCounts(counts.total, counts.completed, counts.failed) if counts else BatchCounts(),
        created_s=batch.created_at,
        ended_s=ended,
        expires_s=batch.expires_at,
        tag=(batch.metadata or {}).get(TAG),
        problem=" ".join(said.split()),
        raw_state=batch.status,
        is_queue_full=batch.status == "failed" and any(problem.code == _QUEUE_FULL for problem in problems),
    )


class _Body(msgspec.Struct):
    object: str = ""
    model: str = ""


class _Response(msgspec.Struct):
    status_code: int = 200
    request_id: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_decode_line: Final = msgspec.json.Decoder(_Line).decode
_decode_body: Final = msgspec.json.Decoder(_Body).decode


def read_result(line: bytes, account: BatchAccount, facts: Facts) -> BatchResult:
    """One line of an output or an error file. Raises `MalformedResponse` when it does not say which row it is about."""
    try:
        said = _decode_line(line)
    except NOT_JSON as exc:
        raise facts.malformed(line) from exc
    answer, witness = said.response, facts.witness
    if answer is None:
        error = said.error or _Error()
        code, why = str(error.code or ""), error.message or "no explanation"
        return BatchResult(said.custom_id, error=not_run(witness, why, code, expired="expired" in code))
    body = bytes(answer.body)
    if answer.status_code >= 300:
        refusal = witness.refused(answer.status_code, (), body, facts.clock.wall())
        refusal.request_id = refusal.request_id or answer.request_id
        return BatchResult(said.custom_id, error=refusal, request_id=answer.request_id)
    return result_of(said.custom_id, body, _decoder_for(body, account, facts), facts, answer.request_id)


def _decoder_for(body: bytes, account: BatchAccount, facts: Facts) -> Decoder:
    try:
        about = _decode_body(body)
    except NOT_JSON:
        about = _Body()
    if about.object == "response":
        return ResponsesDecoder(facts)
    return ChatDecoder(facts, traits_of(account.spec, about.model).think_tags)

"""One small question and its JSON answer: lists of models, embeddings. Nothing here streams, and no SDK is needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.clock import Clock, SystemClock
from workbench.core.decoding import NOT_JSON
from workbench.core.errors import MalformedResponse
from workbench.core.types import KeyAlias
from workbench.providers.anthropic import VERSION
from workbench.providers.base import Deadlines, ProviderSpec, WireFamily
from workbench.providers.failures import Headers, Witness, headers_of, secrets_in
from workbench.providers.http import Connections
from workbench.providers.reading import Watch, read_body, read_lines
from workbench.providers.transport_errors import Place, translated

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to ask, and with which key."""

    spec: ProviderSpec
    key: str = field(default="", repr=False)
    key_alias: KeyAlias | None = None
    model: str = ""

    @property
    def witness(self) -> Witness:
        place = Place(self.spec.title or self.spec.name, self.spec.base_url, self.model, self.key_alias)
        return Witness(place, self.key, self.spec.key_variables, secrets_in(self.spec.headers))

    @property
    def root(self) -> str:
        """The base URL, with the version that its family's paths begin with."""
        base_url = self.spec.base_url.rstrip("/")
        match self.spec.family:
            case WireFamily.ANTHROPIC:
                return f"{base_url.removesuffix('/v1')}/v1"
            case WireFamily.GEMINI:
                return base_url if base_url.endswith(("/v1", "/v1beta", "/v1alpha")) else f"{base_url}/v1beta"
            case _:
                return base_url

    @property
    def headers(self) -> dict[str, str]:
        signed = dict(self.spec.headers)
        if not self.key:
            return signed
        match self.spec.family:
            case WireFamily.ANTHROPIC:
                return signed | {"x-api-key": self.key, "anthropic-version": VERSION}
            case WireFamily.GEMINI:
                return signed | {"x-goog-api-key": self.key}
            case _:
                return signed | {"Authorization": f"Bearer {self.key}"}


async def fetch(
    connections: Connections,
    account: Account,
    path: str,
    *,
    method: str | None = None,
    body: Mapping[str, Any] | None = None,
    content: AsyncIterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    deadlines: Deadlines | None = None,
    clock: Clock | None = None,
) -> tuple[Any, Headers]:
    """GET `path`, or POST a body to it; the decoded answer and the response's headers. Raises `ProviderError`s.

    Args:
        path: below the account's root, or a whole URL.
        content: instead of `body`, bytes as they are made.
    """
    deadlines, clock, witness = (
        deadlines or Deadlines(first_token_s=30.0, total_s=30.0),
        clock or SystemClock(),
        account.witness,
    )
    sent = content if body is None else msgspec.json.encode(body)
    opening = _opened(connections, account, path, method, sent, headers or {}, deadlines, clock)
    async with opening as (response, watch, found):
        _, answer = await read_body(response, watch, clock, witness.place)
    if not answer:
        return None, found
    try:
        return msgspec.json.decode(answer), found
    except NOT_JSON as exc:
        if "json" not in dict(found).get("content-type", "json"):
            raise witness.not_an_api(response.status_code, found) from exc
        shown = witness.clean(answer[:200].decode("utf-8", "replace"))
        raise MalformedResponse(f"{witness.place.host} sent no JSON: {shown}", **witness.details(found)) from exc


async def fetch_lines(
    connections: Connections, account: Account, path: str, deadlines: Deadlines, clock: Clock
) -> AsyncGenerator[bytes, None]:
    """GET `path` and give its body line by line, as it comes. Raises `ProviderError`s."""
    async with (
        _opened(connections, account, path, None, None, {}, deadlines, clock) as (response, watch, _),
        aclosing(read_lines(response, watch, clock, account.witness.place)) as lines,
    ):
        async for line in lines:
            yield line


@asynccontextmanager
async def _opened(
    connections: Connections,
    account: Account,
    path: str,
    method: str | None,
    content: bytes | AsyncIterable[bytes] | None,
    headers: Mapping[str, str],
    deadlines: Deadlines,
    clock: Clock,
) -> AsyncIterator[tuple[httpx.Response, Watch, Headers]]:
    """A response whose status is a good one and whose body is unread."""
    import httpx

    witness = account.witness
    request = connections.client(account.spec).build_request(
        method or ("GET" if content is None else "POST"),
        path if "://" in path else f"{account.root}/{path}",
        content=content,
        headers=account.headers | ({} if content is None else {"content-type": "application/json"}) | dict(headers),
        timeout=httpx.Timeout(None, connect=deadlines.connect_s),
    )
    watch = Watch(deadlines, clock, witness.place)
    response: httpx.Response | None = None
    try:
        with translated(witness.place):
            response = await watch.wait(connections.client(account.spec).send(request, stream=True))
        found = headers_of(response.headers.multi_items())
        if response.status_code >= 300:
            _, answer = await read_body(response, watch, clock, witness.place)
            raise witness.refused(response.status_code, found, answer, clock.wall())
        yield response, watch, found
    finally:
        watch.close()
        if response is not None:
            await response.aclose()

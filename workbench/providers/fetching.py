"""One small question and its JSON answer: lists of models, embeddings. Nothing here streams, and no SDK is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import MalformedResponse
from workbench.core.types import KeyAlias
from workbench.providers.anthropic import VERSION
from workbench.providers.base import Deadlines, ProviderSpec, WireFamily
from workbench.providers.failures import Headers, Witness, headers_of, secrets_in
from workbench.providers.http import Connections
from workbench.providers.reading import Watch, read_body
from workbench.providers.transport_errors import Place, translated


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
    body: Mapping[str, Any] | None = None,
    deadlines: Deadlines | None = None,
    clock: Clock | None = None,
) -> tuple[Any, Headers]:
    """GET `path`, or POST a body to it; the decoded answer and the response's headers. Raises `ProviderError`s."""
    import httpx

    deadlines, clock, witness = (
        deadlines or Deadlines(first_token_s=30.0, total_s=30.0),
        clock or SystemClock(),
        account.witness,
    )
    client = connections.client(account.spec)
    request = client.build_request(
        "GET" if body is None else "POST",
        f"{account.root}/{path}",
        content=None if body is None else msgspec.json.encode(body),
        headers=account.headers | ({} if body is None else {"content-type": "application/json"}),
        timeout=httpx.Timeout(None, connect=deadlines.connect_s),
    )
    watch = Watch(deadlines, clock, witness.place)
    response = None
    try:
        with translated(witness.place):
            response = await watch.wait(client.send(request, stream=True))
        headers = headers_of(response.headers.multi_items())
        _, answer = await read_body(response, watch, clock, witness.place)
        if response.status_code >= 300:
            raise witness.refused(response.status_code, headers, answer, clock.wall())
    finally:
        watch.close()
        if response is not None:
            await response.aclose()
    try:
        return msgspec.json.decode(answer), headers
    except msgspec.DecodeError as exc:
        if "json" not in dict(headers).get("content-type", "json"):
            raise witness.not_an_api(response.status_code, headers) from exc
        shown = witness.clean(answer[:200].decode("utf-8", "replace"))
        raise MalformedResponse(f"{witness.place.host} sent no JSON: {shown}", **witness.details(headers)) from exc

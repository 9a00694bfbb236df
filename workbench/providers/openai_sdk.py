"""The openai SDK as this package uses it: it builds, signs and sends; the bytes of the answer are read elsewhere.

One SDK client per base URL, without a key of its own: the key travels with each request. Its retries are off. The raw
httpx response comes back through `cast_to`, which costs a third of `with_streaming_response` (0.35 against 1.0 ms of
CPU per request) and works alike in openai 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from workbench.core.clock import Clock
from workbench.core.errors import ProviderError
from workbench.core.types import Json
from workbench.providers.base import Call, ProviderSpec
from workbench.providers.failures import Witness, headers_of
from workbench.providers.http import Connections
from workbench.providers.lean_imports import import_openai
from workbench.providers.transport_errors import translate

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI


class OpenAISDK:
    """One engine's SDK clients, made on first use and shared by Chat and Responses."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._clients: dict[tuple[str, str], AsyncOpenAI] = {}
        self._placeholder: httpx.Request | None = None

    async def post(self, call: Call, path: str, body: Mapping[str, Json], witness: Witness) -> httpx.Response:
        """The response with its body unread. Raises the `ProviderError` that an error status stands for."""
        import_openai()
        import httpx
        import openai

        client = self.client(call.spec, call.route.base_url)
        options: Any = {
            "headers": self.headers(call.spec, call.key),
            "timeout": httpx.Timeout(None, connect=call.deadlines.connect_s),
        }
        with self.translated(witness):
            # With `stream`, the SDK leaves the body alone whether it is an event stream or one piece of JSON.
            response: Any = await client.post(
                path,
                cast_to=httpx.Response,
                body=dict(body),
                options=options,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
        # What was sent may be a hundred kilobytes, and is not kept for as long as its answer is read.
        response.request = self._sent_long_ago()
        return cast("httpx.Response", response)

    def _sent_long_ago(self) -> httpx.Request:
        """One request for all responses, which want to have one."""
        import httpx

        if self._placeholder is None:
            self._placeholder = httpx.Request("POST", "http://sent.invalid")
        return self._placeholder

    @contextmanager
    def translated(self, witness: Witness) -> Iterator[None]:
        """Raise what the SDK raises as the `ProviderError` that it stands for."""
        import openai

        try:
            yield
        except openai.APIStatusError as exc:
            # Duck-typed: openai 3 may hand out httpx2's response, and has read its body in any case.
            refusal = exc.response
            raise witness.refused(
                refusal.status_code, headers_of(refusal.headers.multi_items()), refusal.content, self._clock.wall()
            ) from exc
        except openai.OpenAIError as exc:
            # Connections that failed, with the failure as their cause, and whatever the SDK itself objects to.
            message = f"{witness.place.provider}: the openai SDK did not send this: {witness.clean(str(exc))}"
            raise translate(exc, witness.place) or ProviderError(message, **witness.details()) from exc

    def client(self, spec: ProviderSpec, base_url: str) -> AsyncOpenAI:
        found = self._clients.get((spec.name, base_url))
        if found is None:
            import openai

            # Organization and project come from OpenAI's own variables and are nobody else's business.
            foreign = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
            found = self._clients[spec.name, base_url] = openai.AsyncOpenAI(
                api_key="travels-with-the-request",
                base_url=base_url,
                http_client=self._connections.client(spec, base_url),
                max_retries=0,
                default_headers=None if spec.name == "openai" else foreign,  # type: ignore[arg-type]  # Omit is meant for this; the SDK's annotation says str only
            )
        return found

    @staticmethod
    def headers(spec: ProviderSpec, key: str) -> dict[str, Any]:
        import openai

        return {**dict(spec.headers), "Authorization": f"Bearer {key}" if key else openai.Omit()}

"""Gemini through google-genai: the SDK builds and signs the request, our connections carry it, our decoder reads it.

The SDK gives no bytes, only objects made with two rounds of JSON per frame (129–146 µs against 12), and by itself sends
through aiohttp with a hidden second try after 1–10 s. So it is given an HTTP client whose transport does not send: it
hands the finished request over, as it would have gone out, and that is sent here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

from workbench.core.clock import Clock
from workbench.core.errors import BadRequest, ProviderDetails, UnsupportedParameter
from workbench.core.types import Json, Message, Role
from workbench.providers.base import Call, WireEvent
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.dialogue import Facts, converse
from workbench.providers.failures import Witness
from workbench.providers.fitting import fit
from workbench.providers.gemini_decoder import GeminiDecoder
from workbench.providers.http import Connections
from workbench.providers.transport_errors import Place

if TYPE_CHECKING:
    import httpx
    from google.genai import Client

_VERSIONED: Final = re.compile(r"/(v1(?:alpha|beta)?)$")


class GeminiAdapter:
    """Speaks generateContent and streamGenerateContent."""

    def __init__(self, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        # Kept: the SDK closes what it holds when a Client is garbage-collected.
        self._clients: dict[str, Client] = {}

    def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        fitted = fit(call.spec, call.route.wire_model, call.params, self._memory.refused(call.route))
        facts = Facts(Witness.of(call), self._clock)

        async def send() -> httpx.Response:
            import httpx

            request = await self._built(call, fitted.body)
            request.headers["accept-encoding"] = "identity"
            for name, value in call.spec.headers:
                request.headers[name] = value
            timeout = httpx.Timeout(None, connect=call.deadlines.connect_s)
            request.extensions = {**request.extensions, "timeout": timeout.as_dict()}
            client = self._connections.client(call.spec, call.route.base_url)
            return await client.send(request, stream=True)

        return converse(call, send, GeminiDecoder(facts), facts, fitted.notes)

    async def aclose(self) -> None:
        self._clients.clear()

    async def _built(self, call: Call, config: dict[str, Json]) -> httpx.Request:
        """The signed request for this call."""
        options = _options(call, config)
        models = self._client(call.route.base_url).aio.models
        try:
            if call.stream:
                await anext(await models.generate_content_stream(**options))
            else:
                await models.generate_content(**options)
        except _HandedOver as built:
            return built.request
        except ValueError as exc:
            raise _refused_by_sdk(exc, call) from exc
        raise AssertionError("google-genai answered without sending anything")

    def body_of(self, call: Call) -> tuple[bytes, tuple[str, ...]]:
        """The body that generateContent would get, and what was changed on the way to it. Sends nothing."""
        fitted = fit(call.spec, call.route.wire_model, call.params, self._memory.refused(call.route))
        try:
            self._client(call.route.base_url).models.generate_content(**_options(call, fitted.body))
        except _HandedOver as built:
            return built.request.content, fitted.notes
        except UnicodeEncodeError as exc:
            raise Witness.of(call).unwritable() from exc
        except ValueError as exc:
            raise _refused_by_sdk(exc, call) from exc
        raise AssertionError("google-genai answered without sending anything")

    def _client(self, base_url: str) -> Client:
        found = self._clients.get(base_url)
        if found is None:
            found = self._clients[base_url] = _sdk_client(base_url)
        return found


def warm() -> None:
    """Build a request and throw it away, in a worker thread: the first one of a process takes 50 ms of CPU more."""
    with contextlib.suppress(_HandedOver):
        _sdk_client("https://localhost").models.generate_content(model="none", contents="", config={"temperature": 0.0})


def _sdk_client(base_url: str) -> Client:
    """A client that sends nothing: each request is handed over as it would have gone out."""
    import ssl

    import httpx
    from google import genai
    from google.genai import types

    versioned = _VERSIONED.search(base_url)
    handover: Any = _Handover()
    return genai.Client(
        api_key="travels-with-the-request",
        vertexai=False,
        http_options=types.HttpOptions(
            base_url=base_url[: versioned.start()] if versioned else base_url,
            api_version=versioned[1] if versioned else None,
            httpx_client=httpx.Client(transport=handover),
            httpx_async_client=httpx.AsyncClient(transport=handover),
            # For WebSockets, which nobody opens here: without one the SDK reads all certificates, 20 ms of CPU.
            async_client_args={"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
        ),
    )


def _options(call: Call, config: dict[str, Json]) -> Any:
    """The SDK's arguments for this call."""
    contents, system = gemini_contents(call.messages)
    for message in call.messages:
        message.text.encode()  # The SDK's JSON would carry half a character as an escape, and be refused for it.
    return {
        "model": call.route.wire_model,
        "contents": contents,
        "config": {
            **config,
            "system_instruction": system,
            "automatic_function_calling": {"disable": True},
            # The key goes with the request, so that all keys share one SDK client.
            "http_options": {"headers": {"x-goog-api-key": call.key}},
        },
    }


class _HandedOver(Exception):
    """No error: the way a request leaves the SDK before anything is sent."""

    def __init__(self, request: httpx.Request) -> None:
        super().__init__()
        self.request = request


class _Handover:
    """A transport that sends nothing and hands over what it was to send."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise _HandedOver(request)

    async def aclose(self) -> None:
        """Nothing is open."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise _HandedOver(request)

    def close(self) -> None:
        """Nothing is open."""


def gemini_contents(messages: tuple[Message, ...]) -> tuple[list[dict[str, Any]], str | None]:
    """The turns, and the system instruction: all system messages, joined."""
    system = "\n\n".join(message.text for message in messages if message.role is Role.SYSTEM)
    contents = [
        {"role": "model" if message.role is Role.ASSISTANT else "user", "parts": [{"text": message.text}]}
        for message in messages
        if message.role is not Role.SYSTEM
    ]
    return contents, system or None


def _refused_by_sdk(exc: ValueError, call: Call) -> BadRequest:
    """What the SDK's own validation (pydantic's, mostly) does not let through."""
    place = Place.of(call)
    details: ProviderDetails
    problems = exc.errors() if hasattr(exc, "errors") else []
    for problem in problems:
        if problem.get("type") == "extra_forbidden" and problem.get("loc"):
            name = str(problem["loc"][0])
            details = {**place.details(), "hint": f"Leave out {name}."}
            return UnsupportedParameter(f"google-genai knows no parameter {name!r}.", parameter=name, **details)
    said = problems[0].get("msg", "") if problems else str(exc).partition("\n")[0]
    where = ".".join(str(name) for name in problems[0].get("loc", ())) if problems else ""
    details = {**place.details(), "hint": "Change the parameter."}
    return BadRequest(f"google-genai refused the request before sending it: {where} {said}".strip(), **details)

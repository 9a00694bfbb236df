"""The seam between the engine and a wire: a `Call` goes in, `WireEvent`s come out, failures are `ProviderError`s.

An adapter builds, signs, sends and decodes; everything else (retry, keys, limits, cache, metrics, prices) is the
engine's and provider-blind. An adapter keeps no state between calls beyond its pooled connections.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from workbench.core.events import Delta, UsageReport
from workbench.core.sending import Sending
from workbench.core.types import FinishReason, KeyAlias, Message, Params, Route


class WireFamily(StrEnum):
    """Which module speaks the provider's language."""

    OPENAI_CHAT = "openai-chat"
    OPENAI_RESPONSES = "openai-responses"
    GEMINI = "gemini"
    ANTHROPIC = "anthropic"
    LITELLM = "litellm"


class Transport(StrEnum):
    """How bytes travel; a column of the provider row, measured by `llm-workbench bench routes`."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    AIOHTTP = "aiohttp"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider is a row of data. A new OpenAI-compatible host is one of these and no code."""

    name: str
    prefix: str
    """Model names `prefix/…` go here; empty only for the catch-all row."""
    family: WireFamily
    base_url: str
    base_url_variables: tuple[str, ...]
    key_variables: tuple[str, ...]
    """First the single-key or comma-list form, then the list form: `OPENAI_API_KEY`, `OPENAI_KEYS`."""
    transport: Transport = Transport.AIOHTTP
    needs_key: bool = True
    bare_patterns: tuple[str, ...] = ()
    """Globs of model names that go here without a prefix, such as `gpt-*`; a `!` in front excludes."""
    title: str = ""
    queues_instead_of_refusing: bool = False
    """True for local servers: their limiter window follows latency, not refusals."""
    body_defaults: tuple[tuple[str, object], ...] = ()
    """Put into every body unless the caller sets them, such as OpenRouter's `provider.sort`."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with every request, such as the application's name to OpenRouter. A person's own may hold secrets."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Four timeouts in seconds. Comments and pings keep a connection alive; only output is progress."""

    connect_s: float = 10.0
    first_token_s: float = 120.0
    idle_s: float = 60.0
    """Between two reads of anything at all, once output has begun."""
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, ready to be put on the wire."""

    route: Route
    spec: ProviderSpec
    messages: tuple[Message, ...]
    params: Params
    key: str
    """The secret. Lives only here and in the request's headers; `repr` hides it."""
    key_alias: KeyAlias | None
    deadlines: Deadlines
    stream: bool = True
    sending: Sending | None = field(default=None, compare=False)
    """Where the transport notes how far it has come; None where nobody watches."""

    def __repr__(self) -> str:
        return f"Call(route={self.route!r}, key_alias={self.key_alias!r}, messages={len(self.messages)})"


@dataclass(frozen=True, slots=True)
class WireOpened:
    """Response headers have arrived with a success status."""

    at_ns: int
    sent_ns: int
    """When the request body had been handed to the transport."""
    headers: tuple[tuple[str, str], ...]
    """Lower-case names; what the limiter mirrors."""
    request_id: str | None
    http_version: str
    notes: tuple[str, ...] = ()
    """What the adapter dropped, renamed or defaulted."""
    fresh: bool = False
    """The connection had to be opened for this request."""


@dataclass(frozen=True, slots=True)
class WireAlive:
    """A comment, a ping, a role-only or an empty chunk: the first one stops no token clock but is an event."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class WireEnd:
    """The provider said that the answer is over."""

    at_ns: int
    finish_reason: FinishReason
    raw_reason: str


WireEvent: TypeAlias = WireOpened | WireAlive | Delta | UsageReport | WireEnd


class Adapter(Protocol):
    """One wire family."""

    def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        """Send the call and yield what comes back, ending after `WireEnd` (a `UsageReport` may follow it).

        Raises a `ProviderError` for everything that goes wrong, `IncompleteStream` when the bytes end without an
        end mark included. Closing the generator closes the response at once.
        """

    async def aclose(self) -> None:
        """Close pooled connections; calls under way fail with `ConnectionFailed`."""

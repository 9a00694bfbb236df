"""What all providers' endpoints have in common: an exchange is opened, refusals are put into words, faults strike.

A dialect says how its provider spells things; it decides nothing about who may ask or what is answered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from workbench.simulator.answers import rng_for
from workbench.simulator.durations import http_date
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.faults import FaultKind
from workbench.simulator.journal import Ending
from workbench.simulator.mangle import PAGE, Frames, mangled, mangled_body
from workbench.simulator.models import Provider
from workbench.simulator.refusal import Reason, Refusal, RetryHint
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Headers, Step

Operation = Callable[[Exchange], Awaitable[ASGIApp]]
ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Dialect(ABC):
    """One provider's endpoints."""

    def __init__(self, simulation: Simulation, provider: Provider) -> None:
        self.simulation = simulation
        self.provider = provider

    @abstractmethod
    def routes(self) -> list[BaseRoute]: ...

    @abstractmethod
    def error(self, refusal: Refusal) -> tuple[int, object]:
        """Status and body of a refusal."""

    @abstractmethod
    def limit_headers(self, snapshot: Snapshot) -> Headers: ...

    @abstractmethod
    def key_of(self, request: Request) -> str | None: ...

    @abstractmethod
    def error_frames(self, exchange: Exchange) -> Frames: ...

    def common_headers(self, exchange: Exchange) -> Headers:
        """What every answer carries, refusals included."""
        return []

    needs_key = True
    sends_retry_after = True
    """False where waiting times stand in the body only."""

    def route(self, path: str, operation: Operation, *methods: str) -> Route:
        async def endpoint(request: Request) -> ASGIApp:
            return await self.serve(path, request, operation)

        return Route(path, endpoint, methods=list(methods) or ["POST"])

    def fallback(self) -> Route:
        """Last of the routes: whatever this provider does not have, in its own words."""

        async def unknown(exchange: Exchange) -> ASGIApp:
            path = exchange.request.url.path
            raise Refusal(Reason.UNKNOWN_ROUTE, f"Unknown request URL: {exchange.request.method} {path}.")

        return self.route("/{path:path}", unknown, "GET", "POST", "PUT", "PATCH", "DELETE")

    async def serve(self, path: str, request: Request, operation: Operation) -> ASGIApp:
        exchange = Exchange(self.simulation, self.provider, path, request)
        try:
            exchange.authenticate(self.key_of(request), required=self.needs_key)
            return await operation(exchange)
        except Refusal as refusal:
            return self.refused(exchange, refusal)
        except ClientDisconnect:
            exchange.close(Ending.CANCELLED)
            return Response(status_code=499)  # nobody is there to read it
        except BaseException:
            exchange.close(Ending.STOPPED)
            raise

    def refused(self, exchange: Exchange, refusal: Refusal) -> Response:
        status, body = self.error(refusal)
        status = refusal.status or status
        exchange.entry.status = status
        exchange.entry.reason = refusal.reason
        headers = [*self.common_headers(exchange), *self.limit_headers(exchange.snapshot()), *self.hints(refusal)]
        exchange.close(Ending.REFUSED)
        response = Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
        response.raw_headers.extend(headers)
        return response

    def hints(self, refusal: Refusal) -> Headers:
        """When to come back, as headers."""
        return [] if refusal.hint is RetryHint.NATIVE and not self.sends_retry_after else hint_headers(refusal)

    def plain(self, exchange: Exchange, body: object, status: int = 200) -> Response:
        """An answer that takes no time: lists, status, metadata."""
        exchange.entry.status = status
        exchange.close(Ending.COMPLETED)
        response = Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
        response.raw_headers.extend(self.common_headers(exchange))
        return response

    def early(self, exchange: Exchange) -> ASGIApp | None:
        """The faults that replace the response as a whole."""
        if exchange.fault(FaultKind.RESET):
            return exchange.respond([], None, open_s=0.0, status=0)
        page = exchange.fault(FaultKind.HTML, FaultKind.HTML_ERROR)
        if page is None:
            return None
        status = page.status or (200 if page.kind is FaultKind.HTML else 502)
        headers: Headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(PAGE))]
        return exchange.respond([Step(0.0, PAGE)], lambda: headers, open_s=0.0, status=status)

    def stream(
        self,
        exchange: Exchange,
        steps: Iterable[Step],
        *,
        open_s: float,
        media: str = "text/event-stream; charset=utf-8",
        frames: Callable[[], Frames] | None = None,
    ) -> ASGIApp:
        early = self.early(exchange)
        if early is not None:
            return early
        exchange.entry.stream = True
        if exchange.faults:
            steps = mangled(steps, exchange.faults, frames() if frames else self.error_frames(exchange))

        def headers() -> Headers:
            return [
                (b"content-type", media.encode()),
                (b"cache-control", b"no-cache"),
                *self.common_headers(exchange),
                *self.limit_headers(exchange.snapshot()),
            ]

        return exchange.respond(steps, headers, open_s=open_s)

    def whole(self, exchange: Exchange, body: object, *, at_s: float) -> ASGIApp:
        """An answer in one piece, when all of it would have been produced."""
        early = self.early(exchange)
        if early is not None:
            return early
        data = msgspec.json.encode(body)
        steps = mangled_body(at_s, data, exchange.entry.output_tokens, exchange.faults)

        def headers() -> Headers:
            length = (
                sum(len(step.data or b"") for step in steps) if all(s.data is not None for s in steps) else len(data)
            )
            return [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % length),
                *self.common_headers(exchange),
                *self.limit_headers(exchange.snapshot()),
            ]

        return exchange.respond(steps, headers, open_s=at_s)


def identifier(prefix: str, exchange: Exchange, length: int = 24) -> str:
    """An id in the provider's style, equal for equal seeds and request numbers."""
    rng = rng_for("id", exchange.simulation.seed, exchange.entry.number, prefix)
    return prefix + "".join(rng.choices(ID_ALPHABET, k=length))


def header(name: str, value: object) -> tuple[bytes, bytes]:
    return name.encode("ascii"), str(value).encode("latin-1", "replace")


def hint_headers(refusal: Refusal) -> Headers:
    """How long to wait, as `hint` asks for it."""
    headers: Headers = []
    if refusal.should_retry is not None:
        headers.append(header("x-should-retry", str(refusal.should_retry).lower()))
    wait_s = refusal.retry_after_s
    if wait_s is None:
        return headers
    match refusal.hint:
        case RetryHint.NATIVE | RetryHint.SECONDS:
            headers.append(
                header("retry-after", f"{wait_s:g}" if refusal.hint is RetryHint.SECONDS else max(1, round(wait_s)))
            )
        case RetryHint.MILLISECONDS:
            headers.append(header("retry-after-ms", f"{wait_s * 1000:g}"))
        case RetryHint.DATE:
            headers.append(header("retry-after", http_date(wait_s)))
        case RetryHint.ABSURD:
            headers.extend((header("retry-after-ms", "NaN"), header("retry-after", "-1")))
        case RetryHint.TEXT | RetryHint.RESET | RetryHint.NONE:
            pass
    return headers

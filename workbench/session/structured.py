"""Answers as objects: held to a schema where the provider can, asked for in words where it cannot, checked always.

What does not fit is sent back once with the reason. A provider that refuses a schema is remembered, so that the next
thousand requests do not each meet the same refusal first.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from workbench.core.errors import BadRequest, InvalidOutput, UnsupportedParameter, UsageError
from workbench.core.schema import OutputSchema
from workbench.core.types import CacheMode, FinishReason, Message, Request, Result, Role

T = TypeVar("T")

_SPEAKS_OF_SCHEMAS: Final = re.compile(
    r"schema|response_?format|response_?mime|json|structured.?output|output_(?:config|format)|text\.format|grammar",
    re.IGNORECASE,
)

_WHY_NOT_WHOLE: Final = {
    FinishReason.LENGTH: "The answer was cut off by its limit: raise max_tokens.",
    FinishReason.REFUSAL: "The model declined.",
    FinishReason.CONTENT_FILTER: "The provider's filter stopped the answer.",
}


@dataclass(frozen=True, slots=True)
class Structured(Generic[T]):
    """An answer that fits its schema."""

    value: T
    result: Result
    """The call that it came from: the second one where the first answer had to be repaired."""
    repaired: bool = False


class Structurer:
    """Asks for objects, and remembers for its own lifetime which models refuse which schemas."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, str]] = set()

    async def ask(
        self,
        complete: Callable[[Request], Awaitable[Result]],
        request: Request,
        schema: OutputSchema,
        *,
        on_rejected: Callable[[Result], None] | None = None,
    ) -> Structured[Any]:
        """The object, from one call or two. `on_rejected` is told of each answer after which another one is asked for.

        Raises what `complete` raises, InvalidOutput for an answer that does not fit after its repair, and UsageError
        for a request that has a `response_format` of its own.
        """
        first = await self._send(complete, request, schema)
        try:
            return Structured(_parsed(schema, first), first)
        except InvalidOutput as exc:
            if first.finish_reason in _WHY_NOT_WHOLE:
                raise
            if on_rejected is not None:
                on_rejected(first)
            second = await self._send(complete, _repair(request, first, exc, schema), schema)
        try:
            return Structured(_parsed(schema, second), second, repaired=True)
        except InvalidOutput:
            if second.cached and request.cache is CacheMode.USE:
                # Both wrong answers were stored by an earlier run; without this it could never end differently.
                if on_rejected is not None:
                    on_rejected(second)
                anew = replace(request, cache=CacheMode.REFRESH)
                return await self.ask(complete, anew, schema, on_rejected=on_rejected)
            raise

    async def _send(
        self, complete: Callable[[Request], Awaitable[Result]], request: Request, schema: OutputSchema
    ) -> Result:
        wanted = (request.model, schema.in_words)
        if wanted not in self._refused:
            try:
                return await complete(_held_to(request, schema))
            except BadRequest as exc:
                if not _refuses_schema(exc):
                    raise
                self._refused.add(wanted)
        return await complete(_told(request, schema))


def _held_to(request: Request, schema: OutputSchema) -> Request:
    extra = dict(request.params.extra)
    if "response_format" in extra:
        raise UsageError("A schema and a response_format exclude each other.", hint="Give one of them.")
    extra["response_format"] = schema.response_format
    return replace(request, params=replace(request.params, extra=tuple(sorted(extra.items(), key=itemgetter(0)))))


def _told(request: Request, schema: OutputSchema) -> Request:
    """The schema in words, behind what the system message says: the same for every prompt, so it can be cached."""
    said = [message.text for message in request.messages if message.role is Role.SYSTEM]
    others = [message for message in request.messages if message.role is not Role.SYSTEM]
    system = Message.system("\n\n".join([*said, schema.in_words]))
    note = "schema: the provider refused it; it was asked for in words, and checked here."
    return replace(request, messages=(system, *others), notes=(*request.notes, note))


def _repair(request: Request, first: Result, error: InvalidOutput, schema: OutputSchema) -> Request:
    complaint = Message.user(f"That does not fit: {error.message}\n\n{schema.in_words}")
    # An empty turn is an error to most providers.
    said = (Message.assistant(first.text), complaint) if first.text.strip() else (complaint,)
    note = f"schema: the first answer did not fit ({error.message}) and was sent back."
    return replace(request, messages=(*request.messages, *said), notes=(*request.notes, note))


def _refuses_schema(error: BadRequest) -> bool:
    # Its relatives, such as a prompt that is too long, are refusals of something else.
    if type(error) not in (BadRequest, UnsupportedParameter):
        return False
    return _SPEAKS_OF_SCHEMAS.search(error.message) is not None


def _parsed(schema: OutputSchema, result: Result) -> Any:
    try:
        return schema.parse(result.text)
    except InvalidOutput as exc:
        exc.hint = _WHY_NOT_WHOLE.get(result.finish_reason, "")
        exc.partial = result
        raise

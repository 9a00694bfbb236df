"""Everything that has no adapter of its own, through litellm: slow, large, and it knows a hundred providers.

Imported on first use, in a worker thread (4–5 s), and told beforehand to fetch nothing and to read no `.env`. Its
retries, caches, callbacks, logs and token counters are off. It reports "stop" for a stream that broke off, and usage
that nobody stated: both are told apart here from what the provider really said.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from workbench.core.clock import Clock
from workbench.core.errors import ConnectionFailed, ProviderError, TimedOut, TimeoutKind, UnsupportedParameter
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, FinishReason, Usage
from workbench.providers.base import Call, Deadlines, WireAlive, WireEnd, WireEvent, WireOpened
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.chat_decoder import FINISH_REASONS
from workbench.providers.complaint import complaint_in
from workbench.providers.failures import Headers, Witness, headers_of, request_id_of
from workbench.providers.fetching import Account
from workbench.providers.fitting import Fitted, fit
from workbench.providers.openai_chat import chat_messages
from workbench.providers.reading import Watch
from workbench.providers.transport_errors import translate
from workbench.providers.verdict import may_be_left_out

T = TypeVar("T")

_QUIET: Final = {
    # Each of these would otherwise be fetched from the network while litellm is imported or first used.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    # In its development mode litellm loads the working directory's `.env` into the process.
    "LITELLM_MODE": "PRODUCTION",
}


def import_litellm() -> Any:
    """litellm, quiet. Takes seconds the first time: call it in a worker thread."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    litellm: Any = importlib.import_module("litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.num_retries = 0
    litellm.cache = None
    litellm.drop_params = False
    # It would count what nobody stated, with tokenizers that it downloads while the event loop stands still.
    litellm.disable_token_counter = True
    litellm.disable_hf_tokenizer_download = True
    for name in (
        "callbacks",
        "success_callback",
        "failure_callback",
        "_async_success_callback",
        "_async_failure_callback",
    ):
        setattr(litellm, name, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        # Its handlers write to stderr, which is the screen.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


class LiteLLMAdapter:
    """Speaks whatever litellm speaks."""

    def __init__(self, clock: Clock, memory: ParameterMemory) -> None:
        self._clock = clock
        self._memory = memory
        self._litellm: Any = None

    async def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        witness = Witness.of(call)
        witness.check_key()
        fitted = fit(call.spec, call.route.wire_model, call.params, self._memory.refused(call.route))
        litellm = self._litellm = self._litellm or await asyncio.to_thread(import_litellm)
        deadlines = call.deadlines if call.stream else replace(call.deadlines, first_token_s=call.deadlines.total_s)
        watch = Watch(deadlines, self._clock, witness.place)
        sent_ns = self._clock.monotonic_ns()
        answer: Any = None
        try:
            answer = await self._wait(watch, litellm.acompletion(**_arguments(call, fitted)), witness)
            headers = _headers(answer)
            yield WireOpened(
                self._clock.monotonic_ns(),
                sent_ns,
                headers,
                request_id_of(headers),
                http_version="",
                notes=fitted.notes,
            )
            if call.stream:
                async with aclosing(self._streamed(answer, watch, witness, headers)) as events:
                    async for event in events:
                        yield event
            else:
                for event in _whole(answer, self._clock.monotonic_ns()):
                    yield event
        finally:
            watch.close()
            if hasattr(answer, "aclose"):
                await answer.aclose()

    async def aclose(self) -> None:
        close = getattr(self._litellm, "close_litellm_async_clients", None)
        if close is not None:
            await close()

    async def _wait(self, watch: Watch, awaitable: Awaitable[T], witness: Witness, *, reading: bool = False) -> T:
        try:
            return await watch.wait(awaitable)
        except StopAsyncIteration:
            raise
        except Exception as exc:
            # litellm raises its own, its SDKs' and its HTTP clients' classes alike: everything is translated here.
            raise litellm_error(exc, witness, self._clock, reading=reading) from exc

    async def _streamed(
        self, answer: Any, watch: Watch, witness: Witness, headers: Headers
    ) -> AsyncGenerator[WireEvent, None]:
        chunks = aiter(answer)
        raw = ""
        usage: Any = None
        began = False
        tools: set[int] = set()
        while True:
            try:
                chunk = await self._wait(watch, anext(chunks), witness, reading=True)
            except StopAsyncIteration:
                break
            at_ns = self._clock.monotonic_ns()
            usage = getattr(chunk, "usage", None) or usage
            choice = chunk.choices[0] if chunk.choices else None
            deltas = _deltas(choice.delta, at_ns, tools) if choice is not None else []
            if deltas and not began:
                began = True
                watch.output_began()
            for delta in deltas:
                yield delta
            if not deltas:
                yield WireAlive(at_ns)
            raw = getattr(choice, "finish_reason", None) or raw
        at_ns = self._clock.monotonic_ns()
        # With its token counters off, usage that nobody stated comes as zeros.
        if usage is not None and (counted := _usage(usage)).total:
            yield UsageReport(at_ns, counted)
        if not raw or _made_up_its_end(answer):
            raise witness.cut_off(headers, nothing=False, began=began)
        yield _end(raw, at_ns)


async def embed_through_litellm(
    account: Account, body: Mapping[str, Any], deadlines: Deadlines, clock: Clock
) -> tuple[dict[str, Any], Headers]:
    """Send an OpenAI-shaped body for embeddings; the answer in the same shape, and its headers.

    Raises the `ProviderError` of whatever went wrong.
    """
    litellm = await asyncio.to_thread(import_litellm)
    witness = account.witness
    watch = Watch(deadlines, clock, witness.place)
    try:
        answer = await watch.wait(
            litellm.aembedding(
                **body,
                api_key=account.key or None,
                api_base=account.spec.base_url or None,
                timeout=deadlines.total_s,
                num_retries=0,
                max_retries=0,
                caching=False,
            )
        )
    except Exception as exc:  # as for answers: its own, its SDKs' and its clients' classes alike
        raise litellm_error(exc, witness, clock) from exc
    finally:
        watch.close()
    found: dict[str, Any] = answer.model_dump()
    return found, _headers(answer)


def _arguments(call: Call, fitted: Fitted) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": call.route.wire_model,
        "messages": chat_messages(call.messages),
        **fitted.body,
        "api_key": call.key or None,
        "api_base": call.route.base_url or None,
        "timeout": call.deadlines.total_s,
        "num_retries": 0,
        "max_retries": 0,
        "caching": False,
        "stream": call.stream,
    }
    if call.spec.headers:
        arguments["extra_headers"] = dict(call.spec.headers)
    if call.stream:
        arguments["stream_options"] = {"include_usage": True}
    return arguments


def _headers(answer: Any) -> Headers:
    """The provider's own headers, under the names that they came with."""
    raw = getattr(answer, "_response_headers", None)
    if not raw:
        hidden = getattr(answer, "_hidden_params", None) or {}
        raw = hidden.get("additional_headers") or {}
    pairs = [(str(name).removeprefix("llm_provider-"), str(value)) for name, value in dict(raw).items()]
    return headers_of(dict(pairs).items())


def _deltas(said: Any, at_ns: int, tools: set[int]) -> list[Delta]:
    deltas = []
    if reasoning := getattr(said, "reasoning_content", None):
        deltas.append(Delta(at_ns, Channel.REASONING, reasoning))
    if content := getattr(said, "content", None):
        deltas.append(Delta(at_ns, Channel.TEXT, content))
    for place, call in enumerate(getattr(said, "tool_calls", None) or ()):
        index = getattr(call, "index", None)
        index = place if index is None else index
        text = getattr(call.function, "arguments", None) or ""
        if index not in tools:
            line = "\n" if tools else ""
            text = f"{line}{call.function.name or 'tool'} {text}"
            tools.add(index)
        if text:
            deltas.append(Delta(at_ns, Channel.TOOL, text))
    return deltas


def _whole(answer: Any, at_ns: int) -> list[WireEvent]:
    choice = answer.choices[0]
    out: list[WireEvent] = list(_deltas(choice.message, at_ns, set()))
    if (usage := getattr(answer, "usage", None)) is not None:
        out.append(UsageReport(at_ns, _usage(usage)))
    out.append(_end(choice.finish_reason or "", at_ns))
    return out


def _end(raw: str, at_ns: int) -> WireEnd:
    return WireEnd(at_ns, FINISH_REASONS.get(raw.lower(), FinishReason.STOP), raw)


def _usage(usage: Any) -> Usage:
    before = getattr(usage, "prompt_tokens_details", None)
    after = getattr(usage, "completion_tokens_details", None)
    written = getattr(usage, "cache_creation_input_tokens", None) or getattr(before, "cache_creation_tokens", None)
    return Usage(
        input=usage.prompt_tokens or 0,
        cached_input=getattr(before, "cached_tokens", None) or 0,
        cache_write=written or 0,
        output=usage.completion_tokens or 0,
        reasoning=getattr(after, "reasoning_tokens", None) or 0,
    )


def _made_up_its_end(answer: Any) -> bool:
    """True when litellm says "stop" and the provider never said anything of the kind.

    It keeps what the provider said beside what it reports. Should the two attributes disappear, its word is taken.
    """
    missing = object()
    kept = [getattr(answer, name, missing) for name in ("received_finish_reason", "intermittent_finish_reason")]
    return missing not in kept and not any(kept)


# -- Errors ------------------------------------------------------------------------------------------------------------

_JSON_INSIDE: Final = re.compile(r"\{.*\}", re.DOTALL)
_NOISE: Final = re.compile(r"^(?:litellm\.\w+: |\w+Exception - |\w+Error: |Error code: \d+ - )+")


def litellm_error(exc: BaseException, witness: Witness, clock: Clock, *, reading: bool = False) -> ProviderError:
    """What litellm raised, by its status and its words; its classes are looked at by name only."""
    name = type(exc).__name__
    status = getattr(exc, "status_code", None)
    said = witness.clean(str(exc))
    if not isinstance(status, int) or status >= 500 or name in ("APIConnectionError", "Timeout"):
        # A connection that failed comes as one of these, with the failure itself as its cause.
        translation = translate(exc, witness.place, reading=reading)
        if isinstance(translation, ProviderError):
            return translation
    match name:
        case "APIConnectionError":
            return ConnectionFailed(f"Cannot reach {witness.place.host}: {said}", **witness.details())
        case "Timeout":
            return TimedOut(f"{witness.place.host} took too long.", kind=TimeoutKind.TOTAL, **witness.details())
        case "UnsupportedParamsError" if (refused := _refused_parameter(str(exc))) and may_be_left_out(refused):
            details = witness.details(hint=f"Leave out {refused}.")
            return UnsupportedParameter(f"litellm: {said}", parameter=refused, **details)
    body = _body(str(getattr(exc, "message", None) or exc), name, getattr(exc, "code", None))
    return witness.refused(status if isinstance(status, int) else 500, _error_headers(exc), body, clock.wall())


def _body(message: str, name: str, code: Any) -> bytes:
    """The provider's own error body, which litellm keeps inside its message; or one made of what there is."""
    if (found := _JSON_INSIDE.search(message)) is not None:
        for read in (msgspec.json.decode, ast.literal_eval):  # As it came, or as Python prints it.
            with suppress(ValueError, SyntaxError, RecursionError):
                body = msgspec.json.encode(read(found[0]))
                if complaint_in(body).message:
                    return body
    error = {"message": _NOISE.sub("", message), "type": name, "code": code if isinstance(code, str) else None}
    return msgspec.json.encode({"error": error})


_REFUSED: Final = re.compile(r"(?:does not support parameters: \[?'?|unsupported param\w*: )['\"]?(\w+)", re.IGNORECASE)


def _refused_parameter(message: str) -> str:
    found = _REFUSED.search(message)
    return found[1] if found else ""


def _error_headers(exc: BaseException) -> Headers:
    for holder in (
        getattr(exc, "litellm_response_headers", None),
        getattr(getattr(exc, "response", None), "headers", None),
    ):
        if holder:
            return headers_of((str(name), str(value)) for name, value in dict(holder).items())
    return ()

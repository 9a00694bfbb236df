"""Chat Completions: OpenAI, Together, SambaNova, OpenRouter, local servers, and every row that a person adds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from workbench.core.clock import Clock
from workbench.core.types import Json, Message
from workbench.providers.base import Call, WireEvent
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.chat_decoder import ChatDecoder
from workbench.providers.dialogue import Facts, converse
from workbench.providers.failures import Witness
from workbench.providers.fitting import Fitted, fit
from workbench.providers.openai_sdk import OpenAISDK
from workbench.providers.parameters import leave_out


class OpenAIChatAdapter:
    """Speaks Chat Completions through the openai SDK."""

    def __init__(self, sdk: OpenAISDK, clock: Clock, memory: ParameterMemory) -> None:
        self._sdk = sdk
        self._clock = clock
        self._memory = memory

    def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        witness = Witness.of(call)
        refused = self._memory.refused(call.route)
        fitted = fit(call.spec, call.route.wire_model, call.params, refused)
        body = chat_body(call, fitted, refused)
        facts = Facts(witness, self._clock)
        decoder = ChatDecoder(facts, fitted.traits.think_tags)
        return converse(
            call, lambda: self._sdk.post(call, "/chat/completions", body, witness), decoder, facts, fitted.notes
        )

    async def aclose(self) -> None:
        """Nothing of its own: the connections belong to `Connections`."""


def chat_body(call: Call, fitted: Fitted, refused: frozenset[str] = frozenset()) -> dict[str, Json]:
    body: dict[str, Json] = {
        "model": call.route.wire_model,
        "messages": chat_messages(call.messages),
        **fitted.body,
    }
    if call.stream:
        options: dict[str, Json] = {"include_usage": True}
        if call.spec.name == "openai":
            # Random padding on every chunk, against guessing the text from sizes: a third more bytes for nothing here.
            options["include_obfuscation"] = False
        body |= {"stream": True, "stream_options": options}
        leave_out(body, refused & {"stream_options", "stream_options.include_obfuscation"})
    return body


def chat_messages(messages: tuple[Message, ...]) -> list[Json]:
    return [{"role": message.role.value, "content": message.text} for message in messages]

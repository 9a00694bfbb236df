"""Whatever a server sends, what comes out is events or one of our errors; never somebody else's exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import ManualClock
from workbench.core.errors import ProviderError
from workbench.core.events import Delta
from workbench.providers.anthropic_decoder import AnthropicDecoder
from workbench.providers.base import WireEnd, WireEvent
from workbench.providers.chat_decoder import ChatDecoder
from workbench.providers.dialogue import Decoder, Facts
from workbench.providers.failures import Witness
from workbench.providers.gemini_decoder import GeminiDecoder
from workbench.providers.openai_responses import ResponsesDecoder
from workbench.providers.reasoning import ThinkTags
from workbench.providers.sse import SSEEvent
from workbench.providers.transport_errors import Place

WITNESS = Witness(Place("Acme", "https://acme.invalid", "m"))
FACTS = Facts(WITNESS, ManualClock())
DECODERS: dict[str, Callable[[], Decoder]] = {
    "chat": lambda: ChatDecoder(FACTS, ThinkTags()),
    "responses": lambda: ResponsesDecoder(FACTS),
    "gemini": lambda: GeminiDecoder(FACTS),
    "anthropic": lambda: AnthropicDecoder(FACTS),
}

# Names and values that the decoders look for, put together in ways that no server should.
NAMES = st.sampled_from(
    """
    choices delta message content reasoning reasoning_content tool_calls function name arguments index finish_reason
    usage prompt_tokens completion_tokens error code type status candidates parts text thought functionCall args
    finishReason usageMetadata promptFeedback blockReason response output item summary incomplete_details reason
    content_block stop_reason partial_json details violations metadata raw param object thinking
    """.split()  # noqa: SIM905  # a list of forty quoted words is no easier to read
)
VALUES = st.one_of(
    st.just([{"type": "thinking", "thinking": ["odd", {"text": "hm"}]}]),
    st.none(),
    st.booleans(),
    st.integers(-1, 600),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["", "text", "error", "stop", "STOP", "message_stop", "content_block_delta", "text_delta", "429"]),
    st.sampled_from(["response.completed", "response.output_text.delta", "response.failed", "<think>", "</think>"]),
)
TREES = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=18
)


@pytest.mark.parametrize("family", DECODERS)
@settings(max_examples=150)
@given(trees=st.lists(TREES, max_size=4), whole=st.booleans())
def test_no_json_brings_a_decoder_down(family: str, trees: list[object], whole: bool) -> None:
    decoder = DECODERS[family]()
    out: list[WireEvent] = []

    try:
        for at_ns, tree in enumerate(trees, start=1):
            body = json.dumps(tree).encode()
            if whole:
                decoder.decode_whole(body, at_ns, out)
            else:
                decoder.decode(SSEEvent(body), at_ns, out)
        decoder.close(len(trees), out)
    except ProviderError:
        return

    assert all(event.text for event in out if isinstance(event, Delta))
    assert sum(isinstance(event, WireEnd) for event in out) == decoder.finished
    assert [event.at_ns for event in out] == sorted(event.at_ns for event in out)


@settings(max_examples=300)
@given(
    tree=TREES, status=st.sampled_from([200, 301, 400, 401, 403, 404, 422, 429, 500, 503, 599]), inside=st.booleans()
)
def test_no_error_body_is_too_odd(tree: object, status: int, inside: bool) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)

    if inside:
        error = WITNESS.failed_inside(tree, (), now)  # type: ignore[arg-type]  # plain JSON
    else:
        error = WITNESS.refused(status, (), json.dumps(tree).encode(), now)

    assert isinstance(error, ProviderError)
    assert error.message.startswith(("Acme", "acme.invalid"))


@settings(max_examples=100)
@given(body=st.binary(max_size=60), status=st.sampled_from([400, 404, 500]))
def test_no_bytes_are_too_odd(body: bytes, status: int) -> None:
    assert isinstance(WITNESS.refused(status, (), body, datetime(2026, 11, 22, tzinfo=UTC)), ProviderError)

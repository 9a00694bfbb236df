from __future__ import annotations

import gc
from contextlib import aclosing

import httpx
import pytest
from provider_kit import Wire

from workbench.core.events import Delta
from workbench.core.types import Message
from workbench.providers.capabilities import wire_family


@pytest.mark.parametrize("model", ["gpt-4.1", "openai/gpt-5.4", "sambanova/Meta-Llama-3.1-8B-Instruct"])
async def test_what_was_sent_is_not_kept_while_its_answer_is_read(wire: Wire, model: str) -> None:
    question = "Why is the sky blue? " * 50
    call = wire.call(model, (Message.user(question),))
    adapter = wire.adapters[wire_family(call.spec, call.route.wire_model, call.params)]

    async with aclosing(adapter.open(call)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        gc.collect()
        requests = [thing for thing in gc.get_objects() if type(thing) is httpx.Request]

    assert requests
    assert not [request for request in requests if question.encode() in request.content]

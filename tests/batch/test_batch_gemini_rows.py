"""Rows for Gemini share what the SDK writes for one of them, and are what it would have written for each."""

from __future__ import annotations

import msgspec
import pytest
from batch_wire_kit import Desk, Place

from workbench.core.clock import SystemClock
from workbench.core.errors import BadRequest
from workbench.core.types import Json, Message, Params
from workbench.providers.batch import BatchRow
from workbench.providers.batch_rows import call_of
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.gemini import GeminiAdapter
from workbench.simulator.server import SimulatorThread

CONVERSATIONS = {
    "an empty system prompt": (Message.system(""), Message.user("Name a sea.")),
    "a question": (Message.user("Name a river."),),
    "another": (Message.user("Name a “lake”.\n\u2028 "),),
    "with a system prompt": (Message.system("Be brief."), Message.user("Name a river.")),
    "with another": (Message.system("Be long."), Message.system("Or not."), Message.user("Name a lake.")),
    "turns": (Message.user("A river?"), Message.assistant("The Rhine."), Message.user("Another?")),
}
PARAMS = {
    "nothing set": Params(),
    "sampling": Params(temperature=0.5, top_p=0.9, max_tokens=50, stop=("END",), seed=3),
    "thinking": Params(thinking_budget=0),
}


@pytest.fixture
def place() -> Place:
    return Place("gemini", "gemini-2.5-flash-lite")


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
async def test_every_row_is_as_the_sdk_would_have_written_it_alone(desk: Desk, params: Params):
    writer = GeminiAdapter(desk.connections, SystemClock(), ParameterMemory())

    for number, messages in enumerate(CONVERSATIONS.values()):
        row = BatchRow(f"row-{number}", messages, params)
        line = msgspec.json.decode(desk.adapter.encode(desk.account, desk.place.model, row).line)
        alone, notes = writer.body_of(call_of(desk.account, desk.place.model, row))

        assert line == {"key": row.custom_id, "request": msgspec.json.decode(alone)}
        assert desk.adapter.encode(desk.account, desk.place.model, row).notes == notes


@pytest.mark.parametrize("extra", [("no_such_parameter", 1), ("top_k", "many")])
async def test_a_row_that_the_sdk_refuses_is_refused_every_time(desk: Desk, extra: tuple[str, Json]):
    row = BatchRow("row-1", (Message.user("Hello."),), Params(extra=(extra,)))

    for _ in range(2):
        with pytest.raises(BadRequest):
            desk.adapter.encode(desk.account, desk.place.model, row)


async def test_half_a_character_is_refused_wherever_it_stands(desk: Desk, simulator: SimulatorThread):
    whole = BatchRow("row-1", (Message.system("Be brief."), Message.user("Hello.")), Params())
    desk.adapter.encode(desk.account, desk.place.model, whole)

    for messages in ((Message.system("\ud83d"), Message.user("x")), (Message.system("x"), Message.user("\ud83d"))):
        with pytest.raises(BadRequest):
            desk.adapter.encode(desk.account, desk.place.model, BatchRow("row-2", messages, Params()))

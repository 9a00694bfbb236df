"""Objects instead of texts: every wire family, refusals of the schema, answers that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from workbench import LLM, amulti_chat, amulti_generate, multi_chat, multi_generate
from workbench.core.errors import BadRequest, InvalidOutput, SomeFailed, UsageError, WorkbenchError
from workbench.core.schema import schema_from
from workbench.core.types import FinishReason, Message, Request, Result, Route, Timing
from workbench.session.structured import Structurer
from workbench.simulator.faults import FaultRule, parse
from workbench.simulator.server import SimulatorThread

pytestmark = pytest.mark.usefixtures("simulator")

MODEL = "gpt-4.1-mini"
MODELS = [
    MODEL,
    "gpt-5.4",
    "gemini/gemini-2.5-flash",
    "anthropic/claude-sonnet-4-6",
    "together_ai/openai/gpt-oss-120b",
    "sambanova/gpt-oss-120b",
    "openrouter/openai/gpt-5.4",
    "local/qwen3-8b",
]


@dataclass
class River:
    name: str
    length_km: Annotated[int, msgspec.Meta(ge=1)]


class Place(BaseModel):
    city: str
    tags: list[str]


class Verdict(TypedDict):
    fits: bool


@pytest.fixture(autouse=True)
def no_faults(simulator: SimulatorThread) -> None:
    simulator.set_faults()


def asked(simulator: SimulatorThread) -> int:
    count: int = simulator.call(lambda simulation: simulation.journal.tally().requests)
    return count


@pytest.mark.parametrize("model", MODELS)
def test_every_provider_gives_objects_of_the_kind_asked_for(simulator: SimulatorThread, model: str) -> None:
    before = asked(simulator)

    river = LLM(model).chat(f"The longest river near {model}?", schema=River)

    assert isinstance(river, River)
    assert river.length_km >= 1
    assert asked(simulator) == before + 1


def test_many_prompts_give_a_list_of_objects_each() -> None:
    rows = LLM(MODEL).generate(["Rome?", "Oslo?"], n=2, schema=Place, silent=True)

    assert [[type(place) for place in row] for row in rows] == [[Place, Place], [Place, Place]]


async def test_the_async_twins_take_a_schema_too() -> None:
    verdict: Verdict = await LLM(MODEL).achat("Does it fit?", schema=Verdict)
    rows = await LLM(MODEL).agenerate(
        ["And this?"], schema={"type": "object", "properties": {"n": {"type": "integer"}}}
    )

    assert isinstance(verdict["fits"], bool)
    assert isinstance(rows[0][0]["n"], int)


def test_several_models_give_an_object_each() -> None:
    rivers = multi_chat([MODEL, "gpt-5.4"], "The longest river of all?", schema=River)
    rows = multi_generate([MODEL, "gpt-5.4"], ["Rome?", "Oslo?"], schema=Place, silent=True)

    assert {model: type(river) for model, river in rivers.items()} == {MODEL: River, "gpt-5.4": River}
    assert [type(place) for row in rows["gpt-5.4"] for place in row] == [Place, Place]


async def test_several_models_give_objects_in_a_loop_too() -> None:
    verdicts = await amulti_chat([MODEL, "gpt-5.4"], "Does it fit them all?", schema=Verdict)
    rows = await amulti_generate([MODEL], ["Does this fit?"], schema=Verdict)

    assert [isinstance(verdict["fits"], bool) for verdict in [*verdicts.values(), rows[MODEL][0][0]]] == [True] * 3


async def test_complete_gives_the_object_beside_all_that_is_known_of_it() -> None:
    found = LLM(MODEL).complete("The longest river, and what it cost?", schema=River)
    again = await LLM(MODEL).acomplete("The longest river, and what it cost?", schema=River)

    assert isinstance(found.value, River)
    assert (again.value, again.result.cached, found.repaired) == (found.value, True, False)
    assert found.result.usage is not None


async def test_a_stream_says_why_it_takes_no_schema() -> None:
    with pytest.raises(UsageError, match="before anybody can check them"):
        next(LLM(MODEL).stream("In pieces?", schema=River))  # type: ignore[arg-type]  # the mistake
    with pytest.raises(UsageError, match="argument of"):
        LLM(MODEL, schema=River).chat("By default?")  # type: ignore[arg-type]  # as above


def test_objects_come_from_the_cache_and_another_schema_asks_again(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL)
    first = llm.chat("Cached as an object?", schema=River)
    before = asked(simulator)

    again = llm.chat("Cached as an object?", schema=River)
    other = llm.chat("Cached as an object?", schema=Place)

    assert again == first
    assert isinstance(other, Place)
    assert asked(simulator) == before + 1


def test_a_list_at_the_top_is_asked_for_in_words_where_the_provider_wants_an_object(
    simulator: SimulatorThread,
) -> None:
    llm = LLM(MODEL)
    before = asked(simulator)

    first = llm.chat("Rivers of Italy?", schema=list[River])
    second = llm.chat("Rivers of Spain?", schema=list[River])

    assert all(isinstance(river, River) for river in [*first, *second])
    # The refusal, its second form, and from then on the second form at once.
    assert asked(simulator) == before + 3


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-5.4", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash"])
def test_a_model_that_refuses_schemas_is_told_in_words(simulator: SimulatorThread, model: str) -> None:
    # How each names it does not matter: what travels with the schema is refused, once.
    simulator.set_faults(FaultRule(parse("unsupported;parameter=response_format"), count=1))

    assert isinstance(LLM(model).chat(f"Which river, {model}?", schema=River), River)


def test_what_does_not_fit_is_sent_back_once(simulator: SimulatorThread) -> None:
    simulator.set_faults(FaultRule(parse("prose"), count=1))
    llm = LLM(MODEL)

    river = llm.chat("A river, after some persuasion?", schema=River)

    assert isinstance(river, River)
    assert llm.totals.requests == 2


def test_what_never_fits_is_an_error_with_the_text_and_is_asked_anew_next_time(simulator: SimulatorThread) -> None:
    simulator.set_faults(FaultRule(parse("prose")))
    llm = LLM(MODEL)
    with pytest.raises(InvalidOutput, match="not JSON") as caught:
        llm.chat("A river that never comes?", schema=River)
    simulator.set_faults()

    river = llm.chat("A river that never comes?", schema=River)

    assert caught.value.text == "I would rather say it in my own words."
    assert isinstance(river, River)


def test_an_answer_cut_off_says_so_and_is_not_repaired(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL)

    with pytest.raises(InvalidOutput, match="raise max_tokens"):
        llm.chat("Too short a limit?", schema=River, max_tokens=3)

    assert llm.totals.requests == 1


def test_one_misfit_among_many_stands_in_its_place(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL, max_retries=0)
    prompts = ["Fine?", "[sim:length;after=2] Never?"]

    rows = llm.generate(prompts, schema=River, errors="return", silent=True)
    with pytest.raises(SomeFailed):
        llm.generate(prompts, schema=River, silent=True)

    assert [type(row[0]) for row in rows] == [River, InvalidOutput]


def test_schemas_are_refused_where_they_mean_nothing() -> None:
    with pytest.raises(UsageError, match="response_format"):
        LLM(MODEL).chat("Both?", schema=River, response_format={"type": "json_object"})
    with pytest.raises(UsageError, match="No schema"):
        LLM(MODEL).chat("What?", schema=object)


def result_of(text: str) -> Result:
    return Result(text, "", FinishReason.STOP, None, None, Timing(0), Route("m", "p", "m", ""))


class Scripted:
    """A `complete` that gives one outcome after the other and keeps the requests."""

    def __init__(self, *outcomes: str | WorkbenchError) -> None:
        self._outcomes = iter(outcomes)
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Result:
        self.requests.append(request)
        outcome = next(self._outcomes)
        if isinstance(outcome, WorkbenchError):
            raise outcome
        return result_of(outcome)


GOOD = '{"name": "Po", "length_km": 652}'
QUESTION = Request("m", (Message.system("Be brief."), Message.user("A river?")))


def carried_schema(request: Request) -> Mapping[str, Any] | None:
    found: Any = dict(request.params.extra).get("response_format")
    return None if found is None else found["json_schema"]


async def test_only_a_refusal_that_speaks_of_schemas_is_taken_for_one() -> None:
    complete = Scripted(BadRequest("Your grammar has too many states."), GOOD)
    unrelated = Scripted(BadRequest("Role order is wrong."))

    answer = await Structurer().ask(complete, QUESTION, schema_from(River))
    with pytest.raises(BadRequest, match="Role order"):
        await Structurer().ask(unrelated, QUESTION, schema_from(River))

    assert answer.value == River("Po", 652)
    held, told = complete.requests
    assert carried_schema(held)
    assert not carried_schema(told)
    assert told.messages[0].text.startswith("Be brief.\n\nAnswer with JSON only")
    assert told.notes == ("schema: the provider refused it; it was asked for in words, and checked here.",)
    assert len(unrelated.requests) == 1


async def test_the_repair_shows_the_answer_and_the_reason() -> None:
    complete = Scripted('{"name": "Po"}', GOOD)

    answer = await Structurer().ask(complete, QUESTION, schema_from(River))

    assert answer.repaired
    said = complete.requests[1].messages[2:]
    assert said[0] == Message.assistant('{"name": "Po"}')
    assert "'length_km' is a required property" in said[1].text

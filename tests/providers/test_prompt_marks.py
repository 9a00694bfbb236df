from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from provider_kit import Wire

from workbench.core.types import Message, Params, Role
from workbench.providers.prompt_marks import worth_marking

MODEL = "anthropic/claude-sonnet-4-6"
LONG = "The harbour keeps a ledger of every boat that ever came in. " * 120
MINIMUM = 1_024


def test_a_long_system_text_is_marked_and_a_lone_question_never() -> None:
    assert worth_marking([Message.system(LONG), Message.user("Why?")], MINIMUM) == {0}
    assert worth_marking([Message.user(LONG)], MINIMUM) == frozenset()
    assert worth_marking([Message.system("Be brief."), Message.user(LONG)], MINIMUM) == frozenset()


def test_a_conversation_is_marked_behind_the_models_last_two_words() -> None:
    turns = [Message.user(LONG), Message.assistant("a"), Message.user("b"), Message.assistant("c"), Message.user("d")]

    assert worth_marking(turns, MINIMUM) == {1, 3}
    assert worth_marking([Message.system("Be brief."), *turns], 8_192) == frozenset()


messages = st.lists(
    st.builds(Message, st.sampled_from(Role), st.text("ab ", max_size=40).map(lambda text: text * 40)), max_size=9
)


@given(messages, st.integers(1, 2_000))
@settings(max_examples=150)
def test_marks_are_few_and_stand_behind_enough_text_that_is_not_the_question(said: list[Message], least: int) -> None:
    marked = worth_marking(said, least)

    assert len(marked) <= 3
    for place in marked:
        assert said[place].text.strip()
        assert said[place].role is not Role.USER
        before = [m for at, m in enumerate(said) if at <= place or m.role is Role.SYSTEM]
        assert sum(len(message.text) for message in before) >= 4 * least


async def test_the_next_turn_reads_what_the_last_one_wrote(wire: Wire) -> None:
    turns: tuple[Message, ...] = (Message.system(LONG), Message.user("Which boats?"))
    first = await wire.hear(wire.call(MODEL, turns))
    again = await wire.hear(wire.call(MODEL, (*turns[:1], Message.user("Whose boats?"))))
    turns = (*turns, Message.assistant(first.text), Message.user("And then?"))
    second = await wire.hear(wire.call(MODEL, turns))
    third = await wire.hear(wire.call(MODEL, (*turns, Message.assistant(second.text), Message.user("And after?"))))

    assert first.usage.cache_write > MINIMUM
    assert again.usage.cached_input == first.usage.cache_write
    assert second.usage.cached_input == first.usage.cache_write
    assert third.usage.cached_input > second.usage.cached_input


async def test_the_caller_may_do_without_marks_on_any_wire(wire: Wire) -> None:
    params = Params(extra=(("cache_control", False),))

    heard = [
        await wire.hear(wire.call(model, (Message.system(LONG), Message.user("No marks?")), params))
        for model in (MODEL, "gpt-4o", "gemini/gemini-2.5-flash")
    ]

    assert [one.error for one in heard] == [None] * 3
    assert heard[0].usage.cache_write == 0

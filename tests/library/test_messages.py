"""What callers write becomes messages, or a complaint that says which one and why."""

from __future__ import annotations

import pytest

from workbench.core.errors import UsageError
from workbench.core.messages import messages_from
from workbench.core.types import Message


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hi", (Message.user("Hi"),)),
        ([{"role": "user", "content": "Hi"}], (Message.user("Hi"),)),
        ([Message.assistant("a"), {"role": "user", "content": "b"}], (Message.assistant("a"), Message.user("b"))),
        (
            [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}],
            (Message.system("x"), Message.user("y")),
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            (Message.user("ab"),),
        ),
    ],
    ids=["string", "dictionary", "mixed", "developer", "parts"],
)
def test_every_form_of_a_prompt_is_understood(prompt, expected):
    assert messages_from(prompt) == expected


def test_a_system_text_takes_the_place_of_the_conversations_own():
    prompt = [{"role": "system", "content": "old"}, {"role": "user", "content": "Hi"}]

    assert messages_from(prompt, "new") == (Message.system("new"), Message.user("Hi"))


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        (None, "prompt 3: expected text or a list of messages, got None"),
        (7, "got a int"),
        ("  \n", "prompt 3: the prompt is empty"),
        ([], "the prompt is empty"),
        ([{"role": "robot", "content": "x"}], "prompt 3: message 0: role 'robot' is not one of system"),
        ([{"role": "user", "content": None}], "content must be text, not None"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "content must be text, not a list"),
        (["a"], "expected a message with role and content, got a str"),
    ],
)
def test_a_wrong_prompt_says_where_and_why(prompt, complaint):
    with pytest.raises(UsageError) as caught:
        messages_from(prompt, where="prompt 3: ")

    assert complaint in str(caught.value)

"""Half a character, from text that was read in a wrong encoding: no wire can carry it, and its own call alone fails."""

from __future__ import annotations

import pytest

from workbench import LLM
from workbench.core.errors import BadRequest, UsageError

pytestmark = pytest.mark.usefixtures("simulator")

HALF = "a river in \udcff"


def test_a_prompt_with_half_a_character_is_a_bad_request_whether_or_not_it_would_be_cached() -> None:
    for cache in (True, False):
        with pytest.raises(BadRequest, match="half a character"):
            LLM("gpt-4.1-mini").chat(HALF, cache=cache)


def test_one_such_prompt_takes_no_other_answer_with_it() -> None:
    answers = LLM("gpt-4.1-mini").generate(["One?", HALF, "Two?"], errors="return", silent=True)

    assert [type(answer) for [answer] in answers] == [str, BadRequest, str]


def test_such_a_text_is_named_before_any_is_embedded() -> None:
    with pytest.raises(UsageError, match="text 1: holds half a character"):
        LLM("text-embedding-3-small").embed(["whole", HALF])

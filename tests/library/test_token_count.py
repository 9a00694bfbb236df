"""Token counts: an estimate that costs nothing, an exact number that is asked for, and what happens without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from workbench import LLM
from workbench.core.types import Message
from workbench.session.token_count import TokenCount, counted, estimated

pytestmark = pytest.mark.usefixtures("simulator")

TEXT = "The harbour keeps a ledger of every boat that ever came in."


def test_an_estimate_is_characters_over_four_and_loads_no_tokenizer() -> None:
    script = (
        "import sys\nfrom workbench import LLM\n"
        f"print(LLM('gpt-4.1').count_tokens({TEXT!r}).tokens, 'tiktoken' in sys.modules)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=True)

    assert ran.stdout.split() == [str(4 + round(len(TEXT) / 4)), "False"]


def test_an_exact_count_is_the_tokenizers_own() -> None:
    found = LLM("gpt-4.1").count_tokens(TEXT, exact=True)

    # 13 tokens of text in o200k_base; 3 around the message, 1 for its role, 3 before the answer.
    assert found == TokenCount(13 + 7, is_exact=True)


async def test_the_async_twin_counts_a_conversation() -> None:
    turns = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": TEXT}]

    exact = await LLM("gpt-4.1").acount_tokens(turns, "Be brief.", exact=True)
    rough = await LLM("gpt-4.1").acount_tokens(turns, "Be brief.")

    assert exact.is_exact
    assert rough.tokens == pytest.approx(exact.tokens, rel=0.3)


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash", "local/qwen3-8b"])
def test_without_a_public_tokenizer_the_estimate_says_so(model: str) -> None:
    found = LLM(model).count_tokens(TEXT, exact=True)

    assert not found.is_exact
    assert found.tokens == estimated([Message.user(TEXT)]).tokens
    assert "not public" in found.why


@pytest.mark.parametrize("error", [OSError("offline"), ValueError("Hash mismatch")])
def test_a_tokenizer_that_cannot_be_loaded_leaves_the_estimate(error: Exception) -> None:
    def fail(_: str) -> Callable[[str], int]:
        raise error

    found = counted([Message.user(TEXT)], "gpt-4.1", fail)

    assert (found.tokens, found.is_exact) == (estimated([Message.user(TEXT)]).tokens, False)
    assert "could not be loaded" in found.why


def test_without_the_word_list_and_offline_nothing_fails() -> None:
    script = (
        "import os\nos.environ |= {'TIKTOKEN_CACHE_DIR': '/nonexistent/lists', 'HTTPS_PROXY': 'http://127.0.0.1:1'}\n"
        f"from workbench import LLM\nprint(LLM('gpt-4.1').count_tokens({TEXT!r}, exact=True).why)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=True)

    assert "could not be loaded" in ran.stdout

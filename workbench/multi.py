"""The same question to several models at once, as a library call: `multi_generate`, `multi_chat`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from workbench.core.errors import SomeFailed
from workbench.core.messages import Prompt
from workbench.core.types import Json
from workbench.llm import LLM
from workbench.loop_thread import shared_loop_thread
from workbench.progress import print_summary
from workbench.session.fanout import Errors, failures_in


def multi_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    silent: bool = False,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[str]]]:
    """Every model's answers to every prompt, all at once: `{model: [[text], …]}`. Arguments as for `LLM.generate`.

    Raises SomeFailed after all have ended; its `results` is the dictionary with an error in each failed place.
    """
    llms = [LLM(model, max_concurrent, max_retries) for model in models]
    started = time.monotonic()
    results = shared_loop_thread().run(lambda _: _everyone(llms, prompts, system_prompt, n, cache, errors, params))
    if not silent:
        for llm in llms:
            print(f"{llm.model}:", end="")
            print_summary(llm.totals, time.monotonic() - started)
    return results


async def amulti_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[str]]]:
    """`multi_generate`, awaited. Prints nothing."""
    llms = [LLM(model, max_concurrent, max_retries) for model in models]
    return await _everyone(llms, prompts, system_prompt, n, cache, errors, params)


def multi_chat(
    models: Sequence[str], messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
) -> dict[str, str]:
    """Every model's answer to one conversation: `{model: text}`. Fails as `multi_generate` does."""
    return shared_loop_thread().run(lambda _: amulti_chat(models, messages, system_prompt, cache, **params))


async def amulti_chat(
    models: Sequence[str], messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
) -> dict[str, str]:
    llms = [LLM(model) for model in models]
    rows = await _everyone(llms, [messages], system_prompt, 1, cache, "return", params)
    texts = {model: answers[0][0] for model, answers in rows.items()}
    if failures := failures_in(texts.values()):
        raise SomeFailed(failures, texts)
    return texts


async def _everyone(
    llms: Sequence[LLM],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None,
    n: int,
    cache: bool,
    errors: Errors,
    params: Mapping[str, Json],
) -> dict[str, list[list[str]]]:
    answers = await asyncio.gather(*(llm.answers(prompts, system_prompt, n, cache, "return", params) for llm in llms))
    results = {llm.model: rows for llm, rows in zip(llms, answers, strict=True)}
    failures = failures_in(text for rows in answers for row in rows for text in row)
    if failures and errors == "raise":
        raise SomeFailed(failures, results)
    return results

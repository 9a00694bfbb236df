"""The same question to several models at once, as a library call: `multi_generate`, `multi_chat`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from workbench.core.errors import SomeFailed
from workbench.core.messages import Prompt
from workbench.core.schema import OutputSchema
from workbench.core.types import Json
from workbench.llm import LLM
from workbench.loop_thread import shared_loop_thread
from workbench.progress import print_summary
from workbench.session.fanout import Errors, failures_in

T = TypeVar("T")


@overload
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
    schema: None = None,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[str]]]: ...


@overload
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
    schema: type[T],
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[T]]]: ...


@overload
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
    schema: Mapping[str, Json] | OutputSchema,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[Any]]]: ...


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
    schema: Any = None,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[Any]]]:
    """Every model's answers to every prompt, all at once: `{model: [[text], …]}`, or objects with a `schema`.

    Arguments as for `LLM.generate`. Raises SomeFailed after all have ended; its `results` is the dictionary with an
    error in each failed place.
    """
    llms = [LLM(model, max_concurrent, max_retries) for model in models]
    started = time.monotonic()
    asked = _Asked(prompts, system_prompt, n, cache, params, schema)
    results = shared_loop_thread().run(lambda _: _everyone(llms, asked, errors))
    if not silent:
        for llm in llms:
            print(f"{llm.model}:", end="")
            print_summary(llm.totals, time.monotonic() - started)
    return results


@overload
async def amulti_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    schema: None = None,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[str]]]: ...


@overload
async def amulti_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    schema: type[T],
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[T]]]: ...


@overload
async def amulti_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    schema: Mapping[str, Json] | OutputSchema,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[Any]]]: ...


async def amulti_generate(
    models: Sequence[str],
    prompts: Prompt | Sequence[Prompt],
    system_prompt: str | None = None,
    n: int = 1,
    cache: bool = True,
    *,
    max_concurrent: int = 32,
    max_retries: int = 2,
    schema: Any = None,
    errors: Errors = "raise",
    **params: Json,
) -> dict[str, list[list[Any]]]:
    """`multi_generate`, awaited. Prints nothing."""
    llms = [LLM(model, max_concurrent, max_retries) for model in models]
    return await _everyone(llms, _Asked(prompts, system_prompt, n, cache, params, schema), errors)


@overload
def multi_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: None = None,
    **params: Json,
) -> dict[str, str]: ...


@overload
def multi_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: type[T],
    **params: Json,
) -> dict[str, T]: ...


@overload
def multi_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: Mapping[str, Json] | OutputSchema,
    **params: Json,
) -> dict[str, Any]: ...


def multi_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: Any = None,
    **params: Json,
) -> dict[str, Any]:
    """Every model's answer to one conversation: `{model: text}`, or an object each with a `schema`.

    Fails as `multi_generate` does.
    """
    asked = _Asked([messages], system_prompt, 1, cache, params, schema)
    return shared_loop_thread().run(lambda _: _one_of_each(models, asked))


@overload
async def amulti_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: None = None,
    **params: Json,
) -> dict[str, str]: ...


@overload
async def amulti_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: type[T],
    **params: Json,
) -> dict[str, T]: ...


@overload
async def amulti_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: Mapping[str, Json] | OutputSchema,
    **params: Json,
) -> dict[str, Any]: ...


async def amulti_chat(
    models: Sequence[str],
    messages: Prompt,
    system_prompt: str | None = None,
    cache: bool = True,
    *,
    schema: Any = None,
    **params: Json,
) -> dict[str, Any]:
    """`multi_chat`, awaited."""
    return await _one_of_each(models, _Asked([messages], system_prompt, 1, cache, params, schema))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every model is asked."""

    prompts: Prompt | Sequence[Prompt]
    system_prompt: str | None
    n: int
    cache: bool
    params: Mapping[str, Json]
    schema: Any


async def _everyone(llms: Sequence[LLM], asked: _Asked, errors: Errors) -> dict[str, list[list[Any]]]:
    answers = await asyncio.gather(
        *(
            llm.answers(
                asked.prompts,
                asked.system_prompt,
                asked.n,
                asked.cache,
                "return",
                asked.params,
                schema=asked.schema,
            )
            for llm in llms
        )
    )
    results = {llm.model: rows for llm, rows in zip(llms, answers, strict=True)}
    failures = failures_in(answer for rows in answers for row in rows for answer in row)
    if failures and errors == "raise":
        raise SomeFailed(failures, results)
    return results


async def _one_of_each(models: Sequence[str], asked: _Asked) -> dict[str, Any]:
    rows = await _everyone([LLM(model) for model in models], asked, "return")
    answers = {model: found[0][0] for model, found in rows.items()}
    if failures := failures_in(answers.values()):
        raise SomeFailed(failures, answers)
    return answers

"""Which job somebody means, and whose batch an id is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from workbench.core.errors import UsageError
from workbench.providers.batch_adapters import SUPPORTED
from workbench.store.job_records import StoredJob
from workbench.store.jobs import JobStore

_HANDLE = re.compile(r"(?P<provider>[a-z][\w-]*):(?P<number>\d+):(?P<batch>\S+)")

_FORMS = (
    (re.compile(r"batch_\w+"), "openai"),
    (re.compile(r"msgbatch_\w+"), "anthropic"),
    (re.compile(r"batches/\S+"), "gemini"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "together"),
)
"""How each provider's ids look."""


def batch_of(text: str) -> tuple[str, int, str] | None:
    """Provider, number of the key (1 where none is said) and the provider's id; None for what is no such id."""
    match = _HANDLE.fullmatch(text)
    if match is not None:
        return match["provider"], int(match["number"]), match["batch"]
    for form, provider in _FORMS:
        if form.fullmatch(text):
            return provider, 1, text
    return None


async def find_job(store: JobStore, text: str) -> StoredJob:
    """By id, by the beginning of one, by a provider's id, or by `provider:n:id`. Raises UsageError."""
    text = text.strip()
    if not text:
        raise UsageError("Which job? An empty id names none.")
    exact = await store.get(text)
    if exact is not None:
        return exact
    batch = batch_of(text)
    names = [text] if batch is None else [batch[2], text]
    for name in names:
        found = await store.with_batch(name)
        if found:
            return found[0]
    beginning = [] if batch is not None else await store.beginning_with(text.lower())
    if len(beginning) == 1:
        return beginning[0]
    if beginning:
        raise UsageError(f"{text!r} is the beginning of several jobs.", hint="Give more of its id.")
    raise _unknown(text, await store.all(), is_batch=batch is not None)


def _unknown(text: str, jobs: Sequence[StoredJob], *, is_batch: bool) -> UsageError:
    if is_batch:
        return UsageError(f"No job {text!r} here.", hint="If it was made elsewhere, import it first.")
    by_word = {job.id: job.id for job, _ in jobs} | {job.name: job.id for job, _ in jobs if job.name}
    close = [by_word[word] for word in get_close_matches(text, list(by_word), n=3, cutoff=0.6)]
    if close:
        return UsageError(f"No job {text!r} here.", hint=f"Did you mean {' or '.join(dict.fromkeys(close))}?")
    return UsageError(f"No job {text!r} here.", hint="`llm-workbench batch list` shows them.")


def provider_of(text: str) -> tuple[str, int, str]:
    """As `batch_of`. Raises UsageError for an id that does not tell its provider."""
    found = batch_of(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} does not say whose batch it is.", hint="Write it as provider:1:id, like openai:1:batch_abc123."
        )
    if found[0] not in SUPPORTED:
        raise UsageError(f"{found[0]!r} has no batches here.", hint=f"Those that have: {', '.join(SUPPORTED)}.")
    return found

"""The providers' prompt caches: prefixes that were seen lately, by organisation and model.

Two kinds: the automatic one keeps every prefix in steps of 128 tokens (OpenAI, Gemini); the explicit one keeps what
stands before each mark (Anthropic). Below a model's minimum neither keeps anything, silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

STEP_TOKENS = 128
CHARS_PER_TOKEN = 4
"""Prefix lengths go by characters, so that a long prompt is not tokenised for this alone."""
LIFETIME_S = 300.0
LONG_LIFETIME_S = 3600.0


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one prompt that came from the cache, and that went into it."""

    read: int = 0
    written: int = 0
    written_long: int = 0
    """Of `written`, the part kept for an hour."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An explicit breakpoint: everything up to here is to be kept."""

    prefix: str
    tokens: int
    lifetime_s: float = LIFETIME_S


class PromptCache:
    def __init__(self) -> None:
        self._until: dict[tuple[str, bytes], float] = {}

    def automatic(self, scope: str, prompt: str, tokens: int, minimum: int, now_s: float) -> CacheUse:
        step = STEP_TOKENS * CHARS_PER_TOKEN
        steps = min(len(prompt) // step, tokens // STEP_TOKENS)
        if steps * STEP_TOKENS < minimum:
            return CacheUse()
        digest = blake2b(digest_size=12)
        read = 0
        for index in range(steps):
            digest.update(prompt[index * step : (index + 1) * step].encode("utf-8", "surrogatepass"))
            length = (index + 1) * STEP_TOKENS
            if length < minimum:
                continue
            if self._touch((scope, digest.digest()), now_s, LIFETIME_S):
                read = length
        return CacheUse(read, steps * STEP_TOKENS - read)

    def explicit(self, scope: str, marks: Sequence[Mark], minimum: int, now_s: float) -> CacheUse:
        """Marks in prompt order. The longest one that is still kept is read; what lies behind it is written."""
        read, written, written_long, before = 0, 0, 0, 0
        for mark in marks:
            if mark.tokens < minimum:
                continue
            key = (scope, blake2b(mark.prefix.encode("utf-8", "surrogatepass"), digest_size=12).digest())
            if self._touch(key, now_s, mark.lifetime_s):
                read, written, written_long = mark.tokens, 0, 0
            else:
                fresh = mark.tokens - max(before, read)
                written += fresh
                written_long += fresh if mark.lifetime_s > LIFETIME_S else 0
            before = mark.tokens
        return CacheUse(read, written, written_long)

    def clear(self) -> None:
        self._until.clear()

    def _touch(self, key: tuple[str, bytes], now_s: float, lifetime_s: float) -> bool:
        """Whether it was there; it is afterwards, for another lifetime."""
        known = self._until.get(key, -1.0) > now_s
        self._until[key] = now_s + lifetime_s
        if len(self._until) > 100_000:
            self._until = {k: until for k, until in self._until.items() if until > now_s}
        return known

"""Keys out of anything that is shown, logged, stored or exported.

Two nets: secrets that are known are removed wherever they stand; what only looks like a key is removed by shape, since
a provider may echo one that this process never held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MASK = "[key hidden]"

SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
    }
)

# Shorter "secrets" are placeholders such as `none` or `EMPTY`; removing those would eat ordinary words.
_SHORTEST_SECRET = 8

_SHAPES = re.compile(
    r"""
    (?<![A-Za-z0-9])(?:
        sk-[A-Za-z0-9_*-]{8,}              # OpenAI, Anthropic, OpenRouter; also with the middle starred out
      | AIza[0-9A-Za-z_-]{20,}             # Google
      | (?:gsk|xai|tgp_v1|pplx|hf|nvapi|r8)[_-][A-Za-z0-9_-]{16,}
      | eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}   # JSON web tokens
    )
    | (?<=Bearer\s)[^\s"',;]{8,}
    | (?<=[?&]key=)[^&\s"']+               # Gemini's query form
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)      # credentials in a URL
    """,
    re.VERBOSE,
)


class Redactor:
    """Removes the secrets it was told about, and whatever has the shape of one."""

    __slots__ = ("_known",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)
        # Longest first: a secret may begin with another one.
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _SHAPES.sub(MASK, text)

    def headers(self, headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The same headers, those that carry credentials with nothing but the mask."""
        return tuple((name, MASK if name.lower() in SECRET_HEADERS else self.text(value)) for name, value in headers)

    def __repr__(self) -> str:
        return "Redactor()"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without keys, for a single use."""
    return Redactor(secrets).text(text)

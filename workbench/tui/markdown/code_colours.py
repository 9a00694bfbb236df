"""Colours for finished code blocks, worked out in slices so that no frame waits for a lexer.

A lexer's first use imports and compiles it (10 to 60 ms, measured), so it is loaded off the loop through `spawn`.
Lexing itself (about 2 µs per character) runs in `step` for as long as the frame allows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

Tokens: TypeAlias = list[tuple[str, str]]
"""Text and role of each token of a line; the texts joined are the line."""

LONGEST = 200_000
"""Characters past which a block stays plain."""

_ROLES = {
    "Comment": "code-comment",
    "Comment.Preproc": "code-keyword",
    "Keyword": "code-keyword",
    "Keyword.Constant": "code-constant",
    "Keyword.Type": "code-type",
    "Operator.Word": "code-keyword",
    "Literal.String": "code-string",
    "Literal.String.Doc": "code-comment",
    "Literal.Number": "code-number",
    "Name.Function": "code-function",
    "Name.Class": "code-type",
    "Name.Builtin": "code-builtin",
    "Name.Builtin.Pseudo": "code-constant",
    "Name.Decorator": "code-function",
    "Name.Constant": "code-constant",
    "Name.Tag": "code-keyword",
    "Name.Attribute": "code-builtin",
    "Name.Exception": "code-type",
    "Generic.Inserted": "code-inserted",
    "Generic.Deleted": "code-deleted",
    "Generic.Heading": "code-keyword",
    "Generic.Subheading": "code-keyword",
    "Generic.Prompt": "code-comment",
    "Generic.Output": "code-comment",
}
"""By pygments' name of a token type, the nearest ancestor counting."""

Spawn: TypeAlias = Callable[[Callable[[], None]], None]
"""Runs a function off the loop, some time soon."""


@lru_cache(maxsize=256)
def _role(kind: _TokenType) -> str:
    for length in range(len(kind), 0, -1):
        if (role := _ROLES.get(".".join(kind[:length]))) is not None:
            return role
    return ""


class CodeColours:
    """Takes finished blocks by key, gives their tokens line by line once they are known."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._lexers: dict[str, Lexer | None] = {}
        self._loading: set[str] = set()
        self._waiting: deque[tuple[int, str, str]] = deque()
        self._work: Iterator[None] | None = None
        self._lines: dict[int, list[Tokens]] = {}
        self._done: list[int] = []

    def add(self, key: int, language: str, code: str) -> None:
        """Colour this block, when there is time. Languages that pygments does not know stay plain."""
        if not language or len(code) > LONGEST or not code.strip():
            return
        language = language.lower()
        self._waiting.append((key, language, code))
        if language not in self._lexers and language not in self._loading:
            self._loading.add(language)
            self._spawn(lambda: self._load(language))

    def tokens(self, key: int) -> Sequence[Tokens] | None:
        return self._lines.get(key)

    @property
    def is_busy(self) -> bool:
        """There is something that `step` could go on with now."""
        return self._work is not None or any(language in self._lexers for _, language, _ in self._waiting)

    def step(self, deadline_s: float) -> list[int]:
        """Work until `deadline_s` (of `time.perf_counter`); the blocks that got their colours."""
        while time.perf_counter() < deadline_s and (self._work is not None or self._start_next()):
            assert self._work is not None
            if next(self._work, self) is self:
                self._work = None
        done, self._done = self._done, []
        return done

    def _load(self, language: str) -> None:
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound

        lexer: Lexer | None
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            # The first token compiles the patterns.
            next(iter(lexer.get_tokens_unprocessed("x\n")), None)
        except ClassNotFound:
            lexer = None
        self._lexers[language] = lexer

    def _start_next(self) -> bool:
        for _ in range(len(self._waiting)):
            key, language, code = self._waiting.popleft()
            if language not in self._lexers:
                self._waiting.append((key, language, code))
            elif (lexer := self._lexers[language]) is not None:
                self._work = self._lex(key, lexer, code)
                return True
        return False

    def _lex(self, key: int, lexer: Lexer, code: str) -> Iterator[None]:
        """Lex `code`, pausing after every few tokens."""
        lines: list[Tokens] = [[]]
        for count, (_, kind, text) in enumerate(lexer.get_tokens_unprocessed(code)):
            role = _role(kind)
            first, *others = text.split("\n")
            if first:
                lines[-1].append((first, role))
            lines.extend([(other, role)] if other else [] for other in others)
            if count % 32 == 31:
                yield
        self._lines[key] = lines
        self._done.append(key)

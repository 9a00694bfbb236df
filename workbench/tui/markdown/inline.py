"""Inline Markdown as runs of visible text, each tied to the characters of the source it came from.

markdown-it finds the structure; its tokens carry no positions, so they are matched to the source here, in order. That
is exact because a token's text or markup is the next thing in the source; where it is not (a normalised link), the run
gets a wrong or an empty span and everything after it is right again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.tui.markdown.maths import readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

SAFE_SCHEMES = ("http://", "https://", "mailto:", "ftp://")
"""Targets that become links. A terminal opens what it is given, so nothing that could run or read a file."""

_BREAK_TAG = re.compile(r"<br\s*/?>\Z", re.IGNORECASE)
_LABEL = re.compile(r"\[(?:[^\[\]\\]|\\.)*\]", re.DOTALL)
_OPENING = {"em_open": "em", "strong_open": "strong", "s_open": "strike"}
_CLOSING = {"em_close", "strong_close", "s_close"}


class Run(NamedTuple):
    """Visible text of one kind. `start` and `end` are offsets into the content that was parsed.

    When `end - start` is the length of `text`, character i of the text is character `start + i` of the source;
    otherwise the run stands for its source as a whole. A hard line break is the text "\\n".
    """

    text: str
    start: int
    end: int
    roles: tuple[str, ...] = ()
    link: str = ""


class InlineParser:
    """Parses with a set of link references; results are cached, because streaming and resizing ask again."""

    def __init__(self, references: Mapping[str, tuple[str, str]] | None = None, *, cached: int = 2048) -> None:
        """
        Args:
            references: Target and title by normalised label.
        """
        self._env = {
            "references": {
                label: {"href": target, "title": title, "map": [0, 1]}
                for label, (target, title) in (references or {}).items()
            }
        }
        self.parse = lru_cache(maxsize=cached)(self._parse)

    def _parse(self, content: str) -> tuple[Run, ...]:
        tokens: list[Token] = []
        markdown = _markdown()
        markdown.inline.parse(content, markdown, self._env, tokens)
        return tuple(_Aligner(content).runs(tokens))


def normalise_label(label: str) -> str:
    """The form in which link labels are compared (CommonMark 6.3)."""
    return " ".join(label.split()).lower().upper()


def warm() -> None:
    """Import and build the parser, for a thread to do before the first answer comes: it takes 100 ms."""
    _markdown().inline.parse("*warm*", _markdown(), {}, [])


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["strikethrough", "linkify"])
    markdown.inline.ruler.before("escape", "maths", _maths_rule)
    return markdown


_MATHS = re.compile(
    r"\$\$([^$\n]+)\$\$|\$(?![\s$])((?:[^$\\\n]|\\.)*?)(?<!\s)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)


def _maths_rule(state: StateInline, silent: bool) -> bool:
    """`$…$`, `$$…$$`, `\\(…\\)` and `\\[…\\]`. As in pandoc, `$` hugs its formula and no digit follows: $5 is money."""
    if state.src[state.pos] not in "$\\" or not (found := _MATHS.match(state.src, state.pos, state.posMax)):
        return False
    if not silent:
        token = state.push("maths", "", 0)
        token.content = found[found.lastindex or 0]
        token.markup = found[0]
    state.pos = found.end()
    return True


class _Aligner:
    """Walks tokens and source side by side."""

    def __init__(self, content: str) -> None:
        self._content = content
        self._at = 0
        self._roles: tuple[str, ...] = ()
        self._link = ""

    def runs(self, tokens: Iterable[Token]) -> Iterable[Run]:
        for token in tokens:
            match token.type:
                case "text" | "text_special":
                    if token.content:
                        yield self._run(token.content, token.markup or token.content)
                case "softbreak":
                    yield self._run(" ", "\n")
                case "hardbreak":
                    yield self._run("\n", "\n")
                case "code_inline":
                    yield from self._code(token)
                case "maths":
                    yield self._run(readable(token.content), token.markup, "maths")
                case "html_inline":
                    is_break = _BREAK_TAG.match(token.content)
                    yield self._run("\n" if is_break else token.content, token.content, "html")
                case "link_open":
                    self._open_link(token)
                case "link_close":
                    self._close_link(token)
                case "image":
                    yield from self._image(token)
                case opening if opening in _OPENING:
                    self._pass(token.markup)
                    self._roles = (*self._roles, _OPENING[opening])
                case closing if closing in _CLOSING:
                    self._pass(token.markup)
                    self._roles = self._roles[:-1]
                case _:
                    pass

    def _find(self, wanted: str) -> int:
        """Where `wanted` stands next; here, if it is nowhere."""
        found = self._content.find(wanted, self._at)
        return self._at if found < 0 else found

    def _pass(self, markup: str) -> None:
        self._at = min(self._find(markup) + len(markup), len(self._content))

    def _run(self, text: str, source: str, role: str = "") -> Run:
        start = self._find(source)
        end = min(start + len(source), len(self._content))
        self._at = end
        return Run(text, start, end, (*self._roles, role) if role else self._roles, self._link)

    def _code(self, token: Token) -> Iterable[Run]:
        """A code span, a run per source line: line endings became spaces, and one space at each end may be gone."""
        fence = re.compile(rf"(?<!`){token.markup}(?!`)")
        opening = fence.search(self._content, self._at)
        closing = opening and fence.search(self._content, opening.end())
        if opening is None or closing is None:
            yield self._run(token.content, token.content, "code-inline")
            return
        raw = self._content[opening.end() : closing.start()]
        self._at = opening.end() + (len(raw) != len(token.content))
        for number, line in enumerate(self._content[self._at : self._at + len(token.content)].split("\n")):
            if number:
                yield self._run(" ", "\n", "code-inline")
            if line:
                yield self._run(line, line, "code-inline")
        self._at = closing.end()

    def _open_link(self, token: Token) -> None:
        target = str(token.attrGet("href") or "")
        self._link = target if target.lower().startswith(SAFE_SCHEMES) else ""
        self._roles = (*self._roles, "link")
        if token.markup == "":
            self._pass("[")
        elif token.markup == "autolink":
            self._pass("<")

    def _close_link(self, token: Token) -> None:
        if token.markup == "":
            self._pass("]")
            self._pass_target()
        elif token.markup == "autolink":
            self._pass(">")
        self._roles = self._roles[:-1]
        self._link = ""

    def _image(self, token: Token) -> Iterable[Run]:
        """Its alternative text, or its target when there is none, as a link."""
        target = str(token.attrGet("src") or "")
        roles, link = self._roles, self._link
        self._roles, self._link = (*roles, "image"), target if target.lower().startswith(SAFE_SCHEMES) else ""
        self._pass("![")
        if token.children:
            yield from self.runs(token.children)
        else:
            yield Run(target, self._at, self._at, self._roles, self._link)
        self._pass("]")
        self._pass_target()
        self._roles, self._link = roles, link

    def _pass_target(self) -> None:
        """Go past `(target "title")` or `[label]` after a link's text."""
        content, at, end = self._content, self._at, len(self._content)
        if content.startswith("[", at):
            label = _LABEL.match(content, at)
            self._at = label.end() if label is not None else at
            return
        if not content.startswith("(", at):
            return
        helpers = _markdown().helpers
        at = _past_space(content, at + 1)
        target = helpers.parseLinkDestination(content, at, end)
        if target.ok:
            at = _past_space(content, target.pos)
            title = helpers.parseLinkTitle(content, at, end)
            if title.ok:
                at = _past_space(content, title.pos)
        if content.startswith(")", at):
            self._at = at + 1


def _past_space(content: str, at: int) -> int:
    while at < len(content) and content[at] in " \t\n":
        at += 1
    return at

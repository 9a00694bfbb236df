"""How the parts of an answer look, on theme variables only.

State is never colour alone: with NO_COLOR and on ANSI themes, emphasis, headings and marks differ in text style.
"""

from __future__ import annotations

ROLES = (
    "heading-1",
    "heading-2",
    "heading-3",
    "heading-4",
    "heading-5",
    "heading-6",
    "heading-rule",
    "em",
    "strong",
    "strike",
    "code",
    "code-inline",
    "code-bar",
    "code-header",
    "code-language",
    "code-button",
    "code-comment",
    "code-keyword",
    "code-string",
    "code-number",
    "code-constant",
    "code-function",
    "code-type",
    "code-builtin",
    "code-inserted",
    "code-deleted",
    "link",
    "image",
    "maths",
    "html",
    "quote",
    "quote-bar",
    "list-marker",
    "rule",
    "table-header",
    "table-rule",
    "definition",
    "note",
    "cursor",
    "reasoning",
    "headline",
    "match",
    "match-current",
    "selection",
)
"""
| Class | Styles |
|---|---|
| `stream-view--heading-1` to `…-6` | headings by level |
| `stream-view--em`, `…-strong`, `…-strike` | emphasis |
| `stream-view--code-inline`, `…-maths`, `…-html` | what is not prose |
| `stream-view--link`, `…-image`, `…-definition` | links, alternative texts, reference definitions |
| `stream-view--code`, `…-code-bar` | lines of a code block, and the bar beside them |
| `stream-view--code-header`, `…-code-language`, `…-code-button` | the line above them |
| `stream-view--code-comment`, `…-keyword`, `…-string`, and so on | tokens |
| `stream-view--quote`, `…-quote-bar` | quoted text, and the bar beside it |
| `stream-view--list-marker` | bullets, numbers, task boxes |
| `stream-view--rule`, `…-table-rule`, `…-table-header` | rules and tables |
| `stream-view--headline`, `…-reasoning` | the line that reasoning folds into, and its text |
| `stream-view--note` | remarks of our own between the lines |
| `stream-view--cursor` | the mark at the end of what has arrived |
| `stream-view--match`, `…-match-current`, `…-selection` | occurrences of a search, selected text |
"""
"""Roles of pieces that have a component class of their own, `stream-view--…`."""

CSS = """
StreamView {
    overflow-x: hidden;
    overflow-y: auto;
    scrollbar-gutter: stable;
    scrollbar-size-vertical: 1;

    & > .stream-view--heading-1 { color: $text-primary; text-style: bold; }
    & > .stream-view--heading-2 { color: $text-primary; text-style: bold; }
    & > .stream-view--heading-3 { color: $text-secondary; text-style: bold; }
    & > .stream-view--heading-4 { color: $foreground; text-style: bold; }
    & > .stream-view--heading-5 { color: $foreground; text-style: bold italic; }
    & > .stream-view--heading-6 { color: $text-muted; text-style: italic; }
    & > .stream-view--heading-rule { color: $primary; }
    & > .stream-view--em { text-style: italic; }
    & > .stream-view--strong { text-style: bold; }
    & > .stream-view--strike { text-style: strike; }
    & > .stream-view--code-inline { color: $text-accent; background: $boost; }
    & > .stream-view--code { background: $surface; }
    & > .stream-view--code-bar { color: $foreground 25%; background: $surface; }
    & > .stream-view--code-header { color: $text-muted; background: $surface; }
    & > .stream-view--code-language { color: $text-muted; background: $surface; }
    & > .stream-view--code-button { color: $text-primary; background: $surface; }
    & > .stream-view--code-comment { color: $text-muted; text-style: italic; }
    & > .stream-view--code-keyword { color: $text-accent; }
    & > .stream-view--code-string { color: $text-success; }
    & > .stream-view--code-number { color: $text-warning; }
    & > .stream-view--code-constant { color: $text-warning; }
    & > .stream-view--code-function { color: $text-primary; }
    & > .stream-view--code-type { color: $text-secondary; }
    & > .stream-view--code-builtin { color: $text-secondary; }
    & > .stream-view--code-inserted { color: $text-success; }
    & > .stream-view--code-deleted { color: $text-error; }
    & > .stream-view--link { color: $text-primary; text-style: underline; }
    & > .stream-view--image { color: $text-secondary; text-style: underline; }
    & > .stream-view--maths { color: $text-secondary; }
    & > .stream-view--html { color: $text-muted; }
    & > .stream-view--quote { color: $foreground 80%; }
    & > .stream-view--quote-bar { color: $primary; }
    & > .stream-view--list-marker { color: $text-primary; }
    & > .stream-view--rule { color: $foreground 25%; }
    & > .stream-view--table-header { text-style: bold; }
    & > .stream-view--table-rule { color: $foreground 25%; }
    & > .stream-view--definition { color: $text-muted; }
    & > .stream-view--note { color: $text-warning; text-style: italic; }
    & > .stream-view--cursor { color: $primary; }
    & > .stream-view--reasoning { color: $text-muted; }
    & > .stream-view--headline { color: $text-muted; text-style: italic; }
    & > .stream-view--match { color: $text; background: $warning-muted; }
    & > .stream-view--match-current { color: $background; background: $warning; text-style: bold; }

    &:ansi {
        & > .stream-view--code-inline { color: ansi_cyan; }
        & > .stream-view--code-bar { color: ansi_bright_black; }
        & > .stream-view--quote { color: ansi_default; }
        & > .stream-view--rule { color: ansi_bright_black; }
        & > .stream-view--table-rule { color: ansi_bright_black; }
        & > .stream-view--match { color: ansi_black; background: ansi_yellow; }
        & > .stream-view--match-current { color: ansi_black; background: ansi_bright_yellow; }
    }
    &:nocolor {
        & > .stream-view--code-inline { text-style: bold; }
        & > .stream-view--match { text-style: underline; }
        & > .stream-view--match-current { text-style: reverse; }
        & > .stream-view--selection { text-style: reverse; }
    }
}
"""

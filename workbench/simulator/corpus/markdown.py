"""Lists, tables and quotations, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.simulator.corpus.library import Proverb, Topic


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def numbered(items: Iterable[str]) -> str:
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return "\n".join([line(head), line(":--" for _ in head), *(line(row) for row in rows)])


def proverb_block(proverb: Proverb) -> str:
    return f"> {proverb.text}  \n> *{proverb.language}: {proverb.meaning}*"


def code_of(topic: Topic) -> str:
    """Its example, fenced; empty if it has none."""
    return f"```{topic.example}\n{topic.code.strip()}\n```" if topic.code else ""

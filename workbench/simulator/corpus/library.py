"""The texts that answers are made of, read once from the data files beside this module."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import msgspec


class Point(msgspec.Struct, frozen=True):
    title: str
    text: str
    detail: str


class Topic(msgspec.Struct, frozen=True):
    """Something that the models know a little about."""

    name: str
    match: list[str]
    definition: str
    analogy: str
    points: list[Point]
    pitfalls: list[str]
    table: list[str]
    rows: list[list[str]]
    formula: str = ""
    example: str = ""
    code: str = ""


class Task(msgspec.Struct, frozen=True):
    """Something that they can program. The first language of `code` is the default."""

    name: str
    match: list[str]
    idea: str
    cost: str
    edges: list[str]
    code: dict[str, str]


M = TypeVar("M", Topic, Task)
LOOKED_AT = 4_000
"""Characters of a prompt that decide what it is about."""


class Proverb(msgspec.Struct, frozen=True):
    language: str
    text: str
    meaning: str


def _load(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(file).read_text("utf-8"))


@cache
def topics() -> tuple[Topic, ...]:
    return tuple(msgspec.convert(_load("topics.toml")["topic"], list[Topic]))


@cache
def tasks() -> tuple[Task, ...]:
    return tuple(msgspec.convert(_load("snippets.toml")["task"], list[Task]))


@cache
def proverbs() -> tuple[Proverb, ...]:
    return tuple(msgspec.convert(_load("phrases.toml")["proverb"], list[Proverb]))


@cache
def phrases() -> tuple[tuple[tuple[str, ...], dict[str, str]], ...]:
    """(words to look for, language → phrase)."""
    rows = _load("phrases.toml")["phrase"]
    return tuple((tuple(row["match"]), {k: v for k, v in row.items() if k != "match"}) for row in rows)


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), re.IGNORECASE)


def best_topic(text: str) -> Topic | None:
    """The topic whose words the text names most."""
    return _best(text, topics(), least=1)


def best_task(text: str) -> Task | None:
    return _best(text, tasks(), least=1)


def _best(text: str, candidates: tuple[M, ...], least: int) -> M | None:
    head = text[:LOOKED_AT].lower()
    scored = [(sum(map(len, set(_pattern(tuple(c.match)).findall(head)))), c) for c in candidates]
    score, best = max(scored, key=lambda pair: pair[0])
    return best if score >= least else None


def phrase_in(text: str) -> dict[str, str] | None:
    lower = text.lower()
    return next((phrase for words, phrase in phrases() if _pattern(words).search(lower)), None)

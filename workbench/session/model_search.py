"""What a list of models shows: sections while nobody searches, the best matches when somebody does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from workbench.session.model_directory import ModelDirectory, ModelEntry
from workbench.session.targets import LineUp


class Section(StrEnum):
    SAVED = "Saved line-ups"
    STARRED = "Starred"
    RECENT = "Recent"
    PROVIDER = "Provider"
    FOUND = "Found"
    """A match of a search."""
    AS_WRITTEN = "As written"
    """A name that is on no list: it may exist all the same."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    section: Section
    title: str
    model: str = ""
    """Empty for a heading; a saved line-up's name in its section."""
    note: str = ""
    matched: tuple[int, ...] = ()
    """Offsets of the characters that the search found."""

    @property
    def is_heading(self) -> bool:
        return not self.model


def rows_for(
    query: str,
    directory: ModelDirectory,
    *,
    stars: Collection[str] = (),
    recent: Sequence[str] = (),
    line_ups: Mapping[str, LineUp] | None = None,
    limit: int = 300,
) -> list[ModelRow]:
    """The rows in order, headings included."""
    return _matches(query, directory, stars, recent, limit) if query else _sections(directory, stars, recent, line_ups)


def _sections(
    directory: ModelDirectory, stars: Collection[str], recent: Sequence[str], line_ups: Mapping[str, LineUp] | None
) -> list[ModelRow]:
    rows: list[ModelRow] = []
    if line_ups:
        rows.append(ModelRow(Section.SAVED, Section.SAVED))
        rows += [
            ModelRow(Section.SAVED, name, model=name, note=", ".join(target.name for target in line_up))
            for name, line_up in line_ups.items()
        ]
    for section, models in ((Section.STARRED, sorted(stars)), (Section.RECENT, recent)):
        named = [model for model in models if section is Section.STARRED or model not in stars]
        if named:
            rows.append(ModelRow(section, section))
            rows += [ModelRow(section, model, model) for model in named]
    by_provider: dict[str, list[ModelEntry]] = {}
    for entry in directory:
        by_provider.setdefault(entry.provider, []).append(entry)
    # Providers that can be asked come first; among equals the catalog's order stands.
    for provider in sorted(directory.providers, key=lambda state: bool(state.why_not)):
        entries = by_provider.get(provider.name, [])
        if entries:
            note = provider.why_not or ", ".join(provider.sources)
            rows.append(ModelRow(Section.PROVIDER, provider.title, note=note))
            rows += [ModelRow(Section.PROVIDER, entry.model, entry.model) for entry in entries]
    return rows


def _matches(
    query: str, directory: ModelDirectory, stars: Collection[str], recent: Sequence[str], limit: int
) -> list[ModelRow]:
    scored = []
    for position, entry in enumerate(directory):
        score, offsets = match(query, entry.model)
        if score > 0:
            liked = (entry.model in stars) * 2 + (entry.model in recent)
            scored.append((score, not entry.why_not, liked, -position, entry.model, offsets))
    scored.sort(reverse=True)
    rows = [ModelRow(Section.FOUND, model, model, matched=offsets) for *_, model, offsets in scored[:limit]]
    if query not in (row.model for row in rows):
        rows.append(ModelRow(Section.AS_WRITTEN, query, query))
    return rows


def match(query: str, candidate: str) -> tuple[float, tuple[int, ...]]:
    """How well all characters of the query stand, in order, in the candidate; 0 if they do not.

    Runs count more than scattered letters, beginnings of words more than their middles, so that `g54m` finds
    `gpt-5.4-mini` before anything longer. Case and blanks do not matter.
    """
    wanted, text = "".join(query.lower().split()), candidate.lower()
    whole = text.find(wanted)
    if whole >= 0:
        starts_word = whole == 0 or not text[whole - 1].isalnum()
        return 10.0 * len(wanted) + 5 * starts_word + 5 * (len(wanted) == len(text)) - len(text) / 100, tuple(
            range(whole, whole + len(wanted))
        )
    offsets: list[int] = []
    score = 0.0
    at = 0
    for character in wanted:
        found = text.find(character, at)
        if found < 0:
            return 0.0, ()
        at_word = found == 0 or not text[found - 1].isalnum()
        # A letter that begins a word further on is what people mean by an abbreviation.
        later = next(
            (n for n in range(found + 1, len(text)) if text[n] == character and not text[n - 1].isalnum()), None
        )
        if not at_word and (not offsets or found != offsets[-1] + 1) and later is not None:
            found, at_word = later, True
        score += 3.0 if offsets and found == offsets[-1] + 1 else 2.0 if at_word else 1.0
        offsets.append(found)
        at = found + 1
    return score - len(text) / 100, tuple(offsets)

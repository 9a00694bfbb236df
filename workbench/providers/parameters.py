"""One translation of parameters under way: what is on the wire so far, and the notes about what is not.

The verbs that every wire family needs: put, drop with a reason, rename the limit, and take sampling and effort as far
as the model's traits allow. `fitting` says what each family does with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never, cast

from workbench.core.types import Json, Params
from workbench.providers.capabilities import Sampling, Thinking, Traits, nearest_effort

LIMIT_NAMES: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class Fitting:
    """One translation under way."""

    def __init__(self, model: str, params: Params, traits: Traits, refused: frozenset[str]) -> None:
        self.model = model
        self.params = params
        self.traits = traits
        self.refused = refused
        self.body: dict[str, Json] = {}
        self.notes: list[str] = []
        self.extra: dict[str, Json] = dict(params.extra)
        if self.extra.get("cache_control") is False:
            # "No marks": nothing that goes on any wire.
            del self.extra["cache_control"]
        self.limit = self._limit()

    def _limit(self) -> int | None:
        """The caller's output limit under any of its names; the smallest, if several were given."""
        given = [value for name in LIMIT_NAMES if isinstance(value := self.extra.pop(name, None), int)]
        if self.params.max_tokens is not None:
            given.append(self.params.max_tokens)
        return min(given, default=None)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def drop(self, name: str, why: str) -> None:
        self.note(f"{name}: left out, {why}.")

    def put(self, name: str, value: Json) -> None:
        if value is not None:
            self.body[name] = value

    def put_limit(self, name: str) -> None:
        self.put(name, self.limit)
        if self.limit is not None and name != "max_tokens":
            self.note(f"max_tokens: sent as {name}.")

    def take_extra(self) -> None:
        self.body.update(self.extra)

    def fill(self, defaults: Mapping[str, object]) -> None:
        """Add what the caller left open. Nested tables count as one value: the caller's replaces ours whole."""
        for name, value in defaults.items():
            if name not in self.body:
                self.body[name] = cast(Json, value)  # Rows are typed as object; they are JSON by construction.

    def sampling(self, *, effort: str) -> dict[str, float]:
        """Temperature and top_p as far as the model takes them."""
        asked = {"temperature": self.params.temperature, "top_p": self.params.top_p}
        wanted = {name: value for name, value in asked.items() if value is not None}
        match self.traits.sampling:
            case Sampling.FREE:
                return wanted
            case Sampling.ONE:
                if len(wanted) == 2:
                    self.drop("top_p", f"{self.model} takes temperature or top_p, not both")
                    wanted.pop("top_p")
                return wanted
            case Sampling.WITHOUT_REASONING:
                if (effort or self.traits.default_effort) == "none":
                    return wanted
                why = f"{self.model} takes it only with reasoning_effort none"
            case Sampling.REFUSED:
                why = f"{self.model} does not take it"
            case _:
                assert_never(self.traits.sampling)
        for name, value in wanted.items():
            if value != 1:
                self.drop(name, why)
        return {}

    def effort(self) -> str:
        """The reasoning effort in the model's own words; empty when none was asked for or none can be."""
        wanted = self.params.reasoning_effort
        if wanted is None:
            return ""
        if self.traits.thinking is Thinking.NEVER:
            self.drop("reasoning_effort", f"{self.model} does not reason")
            return ""
        return self.nearest(wanted)

    def nearest(self, wanted: str) -> str:
        chosen = nearest_effort(wanted, self.traits.efforts)
        if chosen != wanted:
            self.note(f"reasoning_effort: {wanted} became {chosen}; {self.model} has {', '.join(self.traits.efforts)}.")
        return chosen

    def leave_out_refused(self) -> None:
        # The limit is renamed where it has another name, and never dropped: that would raise it.
        for name in leave_out(self.body, self.refused.difference(LIMIT_NAMES)):
            self.drop(name, f"{self.model} has refused it")


def leave_out(body: dict[str, Json], names: frozenset[str]) -> list[str]:
    """Take these parameters out, dotted ones out of their tables; which of them were there."""
    return [name for name in sorted(names) if _remove(body, name.split("."))]


def _remove(table: dict[str, Json], path: list[str]) -> bool:
    head, *rest = path
    if head not in table:
        return False
    inner = table[head]
    if not rest or not isinstance(inner, Mapping):
        del table[head]
        return True
    kept = dict(inner)  # It may be the caller's own table, or a provider row's.
    removed = _remove(kept, rest)
    if kept:
        table[head] = kept
    else:
        del table[head]
    return removed

"""Who is asked: a target is a model with parameters, a line-up is an ordered set of them.

Both are values: editing a line-up returns a new one. A target keeps its `slot` for as long as it is in the line-up,
whatever is added, removed or moved around it, so that a lane keeps its colour and its conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from workbench.core.types import Json, Params

ACCENTS = 8
"""Themes define this many lane colours; a ninth target starts over."""

_SHORT = {
    "temperature": "t",
    "top_p": "p",
    "max_tokens": "max",
    "reasoning_effort": "effort",
    "thinking_budget": "think",
}


def short_model_name(model: str) -> str:
    """The part of a model's name that a person says: no provider prefix, no organisation."""
    first = model.split("|", 1)[0].strip()
    return first.rsplit("/", 1)[-1] or first


@dataclass(frozen=True, slots=True)
class Target:
    model: str
    params: Params = field(default_factory=Params)
    label: str = ""
    """A name given by the person; empty shows the model's own."""
    slot: int = 0
    """Identity within its line-up, from 1; 0 until a line-up has taken it in."""

    @property
    def name(self) -> str:
        return self.label or short_model_name(self.model)

    @property
    def accent(self) -> int:
        """Which of the theme's lane colours, 1 to `ACCENTS`."""
        return (self.slot - 1) % ACCENTS + 1


@dataclass(frozen=True, slots=True)
class LineUp:
    targets: tuple[Target, ...] = ()
    name: str = ""
    """Empty until it has been saved under one."""

    @classmethod
    def of(cls, *models: str) -> LineUp:
        line_up = cls()
        for model in models:
            line_up = line_up.add(Target(model))
        return line_up

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[Target]:
        return iter(self.targets)

    def add(self, target: Target, at: int | None = None) -> LineUp:
        """With the target in a free slot, at the end or before position `at`."""
        placed = replace(target, slot=self._free_slot())
        index = len(self.targets) if at is None else at
        return replace(self, targets=(*self.targets[:index], placed, *self.targets[index:]))

    def remove(self, slot: int) -> LineUp:
        return replace(self, targets=tuple(target for target in self.targets if target.slot != slot))

    def move(self, slot: int, step: int) -> LineUp:
        """With one target moved by `step` places; stops at the ends."""
        index = self.index(slot)
        target = self.targets[index]
        rest = [*self.targets[:index], *self.targets[index + 1 :]]
        rest.insert(max(0, min(len(rest), index + step)), target)
        return replace(self, targets=tuple(rest))

    def update(self, slot: int, *, params: Params | None = None, label: str | None = None) -> LineUp:
        changed = tuple(
            replace(
                target,
                params=target.params if params is None else params,
                label=target.label if label is None else label,
            )
            if target.slot == slot
            else target
            for target in self.targets
        )
        return replace(self, targets=changed)

    def duplicate(self, slot: int, params: Params | None = None) -> LineUp:
        """With a copy of one target right after it, usually to vary one parameter."""
        index = self.index(slot)
        original = self.targets[index]
        return self.add(replace(original, params=original.params if params is None else params), at=index + 1)

    def index(self, slot: int) -> int:
        for index, target in enumerate(self.targets):
            if target.slot == slot:
                return index
        raise KeyError(f"no target in slot {slot}")

    def get(self, slot: int) -> Target:
        return self.targets[self.index(slot)]

    def slots_of(self, model: str) -> tuple[int, ...]:
        return tuple(target.slot for target in self.targets if target.model == model)

    def _free_slot(self) -> int:
        taken = {target.slot for target in self.targets}
        return next(slot for slot in range(1, len(taken) + 2) if slot not in taken)


def describe_value(name: str, value: Json) -> str:
    """`t=0.2`, `effort=low`: a parameter as it stands in a title."""
    short = _SHORT.get(name, name)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{short}={shown}"


def titles(targets: Sequence[Target]) -> tuple[str, ...]:
    """One title per target that says no more than tells it from the others.

    The name always stands (a pane needs one); parameters only where the targets differ in them, with `default` where
    another one sets what this one leaves to the provider. A lone target shows what it sets.
    """
    settings = [target.params.as_dict() for target in targets]
    names = sorted({name for chosen in settings for name in chosen}, key=_display_order)
    if len(targets) > 1:
        names = [name for name in names if any(chosen.get(name) != settings[0].get(name) for chosen in settings)]
    result = []
    for target, chosen in zip(targets, settings, strict=True):
        parts = [
            describe_value(name, chosen[name]) if name in chosen else f"{_SHORT.get(name, name)}=default"
            for name in names
        ]
        result.append(f"{target.name} · {' '.join(parts)}" if parts else target.name)
    return tuple(_told_apart(result))


def _told_apart(names: Sequence[str]) -> Iterator[str]:
    """Equal targets are samples of one question, and numbered as such."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield f"{name} · sample {seen[name]}" if names.count(name) > 1 else name


def _display_order(name: str) -> tuple[int, str]:
    order = (*_SHORT, "seed", "stop")
    return (order.index(name) if name in order else len(order), name)

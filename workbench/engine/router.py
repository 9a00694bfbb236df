"""From what a caller wrote to where it goes: aliases, chains, fallbacks and base URLs, decided before anything is sent.

A chain `a | b` is tried from left to right; a single model may have fallbacks in the settings. Everything here is
pure and remembered, so the ten-thousandth row of a grid costs a dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from workbench.core.errors import ConfigError, UnknownModel, UsageError
from workbench.core.settings import Settings
from workbench.core.types import Route
from workbench.providers.base import ProviderSpec
from workbench.providers.catalog import resolve
from workbench.providers.configured import configured_rows


@dataclass(frozen=True, slots=True)
class Target:
    """One link of a chain."""

    route: Route
    spec: ProviderSpec


class Router:
    """Knows the provider rows, aliases and fallbacks of one set of settings."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Raises ConfigError for provider rows that cannot work."""
        self._rows = configured_rows(settings, environ)
        self._aliases = settings.aliases
        self._fallbacks = settings.fallbacks
        self._known: dict[str, tuple[Target, ...]] = {}

    @property
    def rows(self) -> tuple[ProviderSpec, ...]:
        return self._rows

    def route(self, model: str) -> tuple[Target, ...]:
        """The targets to try, in order; at least one, each at most once.

        Raises UnknownModel with the nearest names, UsageError for an empty link, ConfigError for an alias that leads
        back to itself. One wrong link is an error of the whole chain: a typing mistake must not wait for an outage.
        """
        known = self._known.get(model)
        if known is None:
            targets = (self._target(name) for name in self._expand(model))
            known = self._known[model] = tuple({target.route.spec: target for target in targets}.values())
        return known

    def _expand(self, model: str) -> list[str]:
        names = list(self._follow(model, ()))
        if len(names) > 1:
            return names
        after = self._fallbacks.get(model.strip()) or self._fallbacks.get(names[0], ())
        return names + [name for fallback in after for name in self._follow(fallback, ())]

    def _follow(self, model: str, seen: tuple[str, ...]) -> Iterator[str]:
        """Every link of a chain with aliases, which may be chains themselves, replaced."""
        for link in model.split("|"):
            name = link.strip()
            if not name:
                raise UsageError(f"{model!r} has an empty link.", hint="Write a chain as `first | second`.")
            if name in seen:
                raise ConfigError(f"The alias {name!r} leads back to itself.", hint="Break the circle under [aliases].")
            if name in self._aliases:
                yield from self._follow(self._aliases[name], (*seen, name))
            else:
                yield name

    def _target(self, name: str) -> Target:
        if not name.isprintable():
            raise UsageError(f"{name!r} is no model's name: it holds characters that none has.")
        try:
            spec, wire_model = resolve(name, self._rows)
        except UnknownModel as exc:
            if close := get_close_matches(name, list(self._aliases), n=1, cutoff=0.75):
                raise UnknownModel(exc.message, hint=f"Did you mean the alias {close[0]}?") from None
            raise
        return Target(Route(spec=name, provider=spec.name, wire_model=wire_model, base_url=spec.base_url), spec)

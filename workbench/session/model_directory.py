"""Which models there are to choose from: context, price, and why one cannot be asked right now.

Read once, in a thread (`load` opens a price table and looks for keys); afterwards everything is a dictionary look-up.
Keys themselves never get here, only where they were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.core.pricing import ModelFacts, PriceTable
from workbench.core.settings import Settings
from workbench.engine.keyring import Keyring
from workbench.engine.router import Router
from workbench.providers.base import ProviderSpec
from workbench.providers.catalog import known_models
from workbench.providers.listing import ListedModel
from workbench.session import figures

_SMALL = ("mini", "haiku", "flash", "small", "8b")


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider and whether it can be asked."""

    name: str
    title: str
    sources: tuple[str, ...]
    """Where keys were found: variables, `settings`, `system keyring`; never the keys."""
    why_not: str
    """Empty when it can be asked."""
    key_variable: str
    """The variable that would make it work; empty where no key is needed."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    model: str
    """As one writes it in a line-up."""
    provider: str
    title: str
    """The provider's."""
    context_tokens: int | None = None
    input_usd: float | None = None
    """Per token."""
    output_usd: float | None = None
    why_not: str = ""
    """Why it cannot be asked now; empty when it can."""
    reasons: bool = False

    @property
    def price(self) -> str:
        """`$1.25 in · $10.00 out` per million tokens."""
        if self.input_usd is None or self.output_usd is None:
            return figures.UNKNOWN
        if self.input_usd == 0 and self.output_usd == 0:
            return "free"
        return f"{figures.price_per_million(self.input_usd)} in · {figures.price_per_million(self.output_usd)} out"


class ModelDirectory:
    def __init__(
        self, providers: Iterable[ProviderState], entries: Iterable[ModelEntry], router: Router, prices: PriceTable
    ) -> None:
        self.providers = tuple(providers)
        self._entries = {entry.model: entry for entry in entries}
        self._router = router
        self._prices = prices
        self._by_name = {provider.name: provider for provider in self.providers}
        self._known = {model.name: model for model in known_models(router.rows)}

    @classmethod
    def load(cls, settings: Settings, environ: Mapping[str, str]) -> ModelDirectory:
        """Blocking; for a thread. Raises ConfigError."""
        router = Router(settings, environ)
        prices = PriceTable.load(settings, Paths.from_environment(environ).prices_file)
        providers = [_state(row, settings, environ) for row in router.rows]
        directory = cls(providers, (), router, prices)
        names = [model.name for model in known_models(router.rows) if "embedding" not in model.name]
        names += settings.aliases
        for row in router.rows:
            if directory._by_name[row.name].sources:
                names += (
                    f"{row.prefix}/{name}" if row.name != "openai" else name for name in prices.chat_models(row.name)
                )
        directory.add(names)
        return directory

    def add(self, models: Iterable[str]) -> None:
        for model in models:
            if model not in self._entries:
                self._entries[model] = self._describe(model)

    def learn(self, listed: Iterable[ListedModel], *, nothing_else: bool = False) -> None:
        """Take in what servers say they have; with `nothing_else` that is all there is, as in a demo."""
        entries: dict[str, ModelEntry] = {}
        for model in listed:
            if "embedding" in model.name:
                continue
            entry = self._entries.get(model.name) or self._describe(model.name)
            # What a server says of itself is newer than any table.
            entries[model.name] = replace(
                entry,
                context_tokens=model.context or entry.context_tokens,
                input_usd=entry.input_usd if model.input_usd is None else model.input_usd,
                output_usd=entry.output_usd if model.output_usd is None else model.output_usd,
            )
        self._entries = entries if nothing_else else {**self._entries, **entries}

    def __iter__(self) -> Iterator[ModelEntry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def first_choices(self) -> tuple[str, ...]:
        """One model of every provider that a key was found for: a small one, as nobody has looked at prices yet."""
        found = [self.small_model(state.name) for state in self.providers if state.sources]
        return tuple(model for model in found if model is not None)

    def small_model(self, provider: str) -> str | None:
        """A small model of one provider; None where none is known."""
        models = [name for name, entry in self._entries.items() if entry.provider == provider]
        small = (name for name in models if any(word in name for word in _SMALL))
        return next(small, models[0] if models else None)

    def entry(self, model: str) -> ModelEntry:
        """What is known about any name, listed or not."""
        return self._entries.get(model) or self._describe(model)

    def facts(self, model: str) -> ModelFacts:
        """Price and sizes of the first link of a chain; empty for a name that nobody serves."""
        try:
            return self._prices.facts_of(self._router.route(model)[0].route)
        except WorkbenchError:
            return ModelFacts()

    def _describe(self, model: str) -> ModelEntry:
        try:
            target = self._router.route(model)[0]
        except WorkbenchError as error:
            return ModelEntry(model, "", "", why_not=str(error))
        state = self._by_name[target.spec.name]
        facts = self._prices.facts_of(target.route)
        live = facts.price.live if facts.price is not None else None
        known = self._known.get(model)
        return ModelEntry(
            model,
            state.name,
            state.title,
            context_tokens=facts.context_tokens or (known.context if known is not None else None),
            input_usd=live.input if live is not None else None,
            output_usd=live.output if live is not None else None,
            why_not=state.why_not,
            reasons=known is not None and known.reasons,
        )


def _state(row: ProviderSpec, settings: Settings, environ: Mapping[str, str]) -> ProviderState:
    keyring = Keyring.find(row, settings, environ)
    sources = tuple(dict.fromkeys(key.source for key in keyring.keys))
    variable = row.key_variables[0] if row.key_variables and row.needs_key else ""
    why_not = f"no key: set {variable}" if row.needs_key and not sources else ""
    return ProviderState(row.name, row.title or row.name, sources, why_not, variable)

"""Who is asking, and what their account still allows.

Keys are `sim-key-1`, `sim-key-2`, … as many as anybody needs. Three never work: `sim-key-dead` (401), `sim-key-
forbidden` (403) and `sim-key-spent` (no money left). `sim-key-1@acme` and `sim-key-2@acme` belong to one organisation
and share its limits; a key without `@` is an organisation of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workbench.simulator.models import Provider
from workbench.simulator.profiles import QuotaRule
from workbench.simulator.quota import Quota, QuotaSpec
from workbench.simulator.refusal import Reason, Refusal

FORBIDDEN_KEY = "sim-key-forbidden"
SPENT_KEY = "sim-key-spent"
FIRST_KEY = "sim-key-1"
ANONYMOUS = "anonymous"
"""The account of whoever asks a local server without a key."""

_VALID = re.compile(r"sim-key-[0-9]+(@(?P<organisation>[A-Za-z0-9_-]+))?")


@dataclass(frozen=True, slots=True)
class Account:
    key: str
    organisation: str
    """Limits and prompt caches belong to it."""


def authenticate(key: str | None) -> Account:
    """The account behind a key. Raises NO_KEY, WRONG_KEY, FORBIDDEN or SPENT."""
    if not key:
        raise Refusal(Reason.NO_KEY, "no key")
    if key == FORBIDDEN_KEY:
        raise Refusal(Reason.FORBIDDEN, "this key may not use this model")
    if key == SPENT_KEY:
        raise Refusal(Reason.SPENT, "nothing left on this account")
    match = _VALID.fullmatch(key)
    if match is None:
        raise Refusal(Reason.WRONG_KEY, masked(key))
    return Account(key, match["organisation"] or key)


def masked(key: str) -> str:
    """A key as error messages quote it: its ends."""
    return f"{key[:4]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * len(key)


class Accounts:
    """Every quota in force, made when it is first asked for: one per provider, organisation and model."""

    def __init__(self, rules: Iterable[QuotaRule]) -> None:
        self._rules = tuple(rules)
        self._overrides: list[tuple[QuotaRule, str]] = []
        self._quotas: dict[tuple[Provider, str, str], Quota | None] = {}

    def quota(self, provider: Provider, model: str, account: Account, now_s: float) -> Quota | None:
        """None when nothing is limited there."""
        place = (provider, account.organisation, model)
        if place not in self._quotas:
            spec = self._spec(provider, model, account)
            self._quotas[place] = None if spec is None else Quota(spec, now_s=now_s)
        return self._quotas[place]

    def set_spec(self, provider: str, model: str, key: str, spec: QuotaSpec, now_s: float) -> None:
        """Limits from now on for whatever matches the three globs; `key` may also name an organisation."""
        self._overrides.insert(0, (QuotaRule(provider, model, spec), key))
        for (owner, organisation, name), quota in list(self._quotas.items()):
            if fnmatchcase(owner, provider) and fnmatchcase(name, model) and fnmatchcase(organisation, key):
                if quota is None:
                    del self._quotas[owner, organisation, name]
                else:
                    quota.set_spec(now_s, spec)

    def reset(self) -> None:
        """Full buckets and the profile's own limits again."""
        self._overrides.clear()
        self._quotas.clear()

    def _spec(self, provider: Provider, model: str, account: Account) -> QuotaSpec | None:
        for rule, key in self._overrides:
            belongs = fnmatchcase(account.key, key) or fnmatchcase(account.organisation, key)
            if belongs and fnmatchcase(provider, rule.provider) and fnmatchcase(model, rule.model):
                return rule.spec
        for rule in self._rules:
            if fnmatchcase(provider, rule.provider) and fnmatchcase(model, rule.model):
                return rule.spec
        return None

"""Provider rows together with the keys that were found for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.core.settings import Settings
from workbench.engine.keyring import Keyring
from workbench.providers.base import ProviderSpec
from workbench.providers.configured import configured_rows


@dataclass(frozen=True, slots=True)
class Account:
    row: ProviderSpec
    keyring: Keyring

    @property
    def can_be_asked(self) -> bool:
        return bool(self.keyring.keys) or not self.row.needs_key

    @property
    def why_not(self) -> str:
        """Empty when it can be asked."""
        return "" if self.can_be_asked else f"no key: set {' or '.join(self.row.key_variables)}"


def accounts(settings: Settings, environ: Mapping[str, str]) -> list[Account]:
    """Every provider row, in the picker's order. Raises ConfigError."""
    return [Account(row, Keyring.find(row, settings, environ)) for row in configured_rows(settings, environ)]

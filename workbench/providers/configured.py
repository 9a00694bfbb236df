"""A person's settings laid over the catalog: which provider rows there are in the end, and with what addresses.

A `[providers.<name>]` table changes a built-in row or adds one; a base URL from the environment wins over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workbench.core.errors import ConfigError
from workbench.core.settings import ProviderSettings, Settings, url_complaint
from workbench.core.toml import nearest
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.catalog import BUILT_IN, rows_from


def configured_rows(settings: Settings, environ: Mapping[str, str]) -> tuple[ProviderSpec, ...]:
    """Every provider row, in the picker's order, as settings and environment have it.

    Raises ConfigError for a row that cannot work, naming its line or its variable.
    """
    built_in = {row.name: row for row in BUILT_IN}
    for row in BUILT_IN:
        for variable in row.base_url_variables:
            if (value := environ.get(variable, "").strip()) and (complaint := url_complaint(value)):
                raise ConfigError(f"{variable}: {complaint}")
    rows = []
    for name, chosen in settings.providers.items():
        known = built_in.get(name)
        if known is None and chosen.base_url is None:
            raise ConfigError(
                f"{settings.where('providers', name)}: a row of your own needs a base_url.",
                hint=f"{nearest(name, tuple(built_in))} Built-in rows may leave it out.",
            )
        rows.append(_laid_over(known or _new_row(name, chosen), chosen))
    return rows_from(environ, rows)


def _new_row(name: str, chosen: ProviderSettings) -> ProviderSpec:
    """An OpenAI-compatible host, unless the settings say otherwise."""
    stem = name.upper().replace("-", "_")
    needs_key = bool(chosen.secrets or chosen.variables)
    return ProviderSpec(
        name=name,
        prefix=name,
        family=WireFamily.OPENAI_CHAT,
        base_url="",
        base_url_variables=(f"{stem}_BASE_URL",),
        key_variables=(f"{stem}_API_KEY", f"{stem}_KEYS"),
        needs_key=needs_key,
        title=name,
    )


def _laid_over(row: ProviderSpec, chosen: ProviderSettings) -> ProviderSpec:
    return replace(
        row,
        prefix=row.prefix if chosen.prefix is None else chosen.prefix,
        family=row.family if chosen.family is None else WireFamily(chosen.family),
        base_url=row.base_url if chosen.base_url is None else chosen.base_url.rstrip("/"),
        key_variables=chosen.variables or row.key_variables,
        transport=row.transport if chosen.transport is None else Transport(chosen.transport),
        needs_key=row.needs_key if chosen.needs_key is None else chosen.needs_key,
        title=row.title if chosen.title is None else chosen.title,
        headers=tuple(chosen.headers.items()) or row.headers,
    )

"""What the providers themselves say they serve, asked once when somebody wants to choose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from workbench.core.errors import WorkbenchError
from workbench.core.settings import Settings
from workbench.engine.keyring import Keyring
from workbench.providers.base import ProviderSpec, WireFamily
from workbench.providers.configured import configured_rows
from workbench.providers.fetching import Account
from workbench.providers.http import Connections
from workbench.providers.listing import ListedModel, list_models

PATIENCE_S = 10.0


async def fetch_model_lists(settings: Settings, environ: Mapping[str, str]) -> tuple[ListedModel, ...]:
    """The lists of every provider that can be asked; those that do not answer are left out."""
    connections = Connections(environ)
    try:
        rows = [row for row in configured_rows(settings, environ) if row.family is not WireFamily.LITELLM]
        lists = await asyncio.gather(*(_list(connections, row, settings, environ) for row in rows))
        return tuple(model for models in lists for model in models)
    finally:
        await connections.aclose()


async def _list(
    connections: Connections, row: ProviderSpec, settings: Settings, environ: Mapping[str, str]
) -> tuple[ListedModel, ...]:
    keys = (await asyncio.to_thread(Keyring.find, row, settings, environ)).keys
    if row.needs_key and not keys:
        return ()
    key = keys[0] if keys else None
    account = Account(row, key.secret if key else "", key.alias if key else None)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await list_models(connections, account)
    except (WorkbenchError, TimeoutError):
        # A picker that lists what it can is better than one that complains about a server nobody asked for.
        return ()

"""Model servers on this machine, found and made askable: each becomes a provider row of its own.

The first that answers is `local/…`, unless the person has said where that is; every other is `local-PORT/…`. Nothing of
this is written down: what runs today may not run tomorrow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from msgspec.structs import replace

from workbench.core.settings import ProviderSettings, Settings
from workbench.providers.catalog import LOCAL
from workbench.providers.discovery import LocalServer, discover
from workbench.providers.http import Connections

PATIENCE_S = 1.5
"""Looking must not keep the engine waiting for a server that has hung."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    server: LocalServer
    prefix: str
    """Its models are written `prefix/name`."""

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}/{model.name}" for model in self.server.models)

    @property
    def phrase(self) -> str:
        """`Ollama: 3 models`, or what is the matter with it."""
        count = len(self.server.models)
        return self.server.problem or f"{self.server.kind}: {count} {'model' if count == 1 else 'models'}"


async def find_local_servers(environ: Mapping[str, str]) -> tuple[LocalServer, ...]:
    """Look at the usual ports of loopback; empty when nothing answers in time."""
    connections = Connections(environ)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await discover(connections)
    except TimeoutError:
        return ()
    finally:
        await connections.aclose()


def place_servers(
    servers: Sequence[LocalServer], settings: Settings, environ: Mapping[str, str]
) -> tuple[Settings, tuple[FoundServer, ...]]:
    """The settings with a row for every server that can be used, and how its models are called."""
    configured = {row.base_url.rstrip("/") for row in settings.providers.values() if row.base_url}
    said = next((environ[name] for name in LOCAL.base_url_variables if environ.get(name)), None)
    is_free = said is None and settings.provider(LOCAL.name).base_url is None
    rows: dict[str, ProviderSettings] = {}
    found: list[FoundServer] = []
    for server in servers:
        if server.base_url in configured or server.base_url == (said or "").rstrip("/"):
            continue
        name = LOCAL.name if is_free else f"{LOCAL.name}-{urlsplit(server.base_url).port}"
        found.append(FoundServer(server, name))
        if server.problem or (name in settings.providers and name != LOCAL.name):
            continue
        is_free = False
        row = settings.provider(name)
        rows[name] = replace(
            row, base_url=server.base_url, needs_key=False, prices="free", title=row.title or str(server.kind)
        )
    return replace(settings, providers={**settings.providers, **rows}), tuple(found)

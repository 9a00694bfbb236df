"""The keys of every provider that requests have gone to, each found once.

Finding them may take its time, or ask a person, where the system's own keyring has them: `find` does it in a thread,
so that what asks on an event loop afterwards has its answer at hand. Which keys there are is `keyring`'s to say, and
which of them may be used now is the limiter's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from workbench.core.settings import Settings
from workbench.engine.keyring import Keyring
from workbench.providers.base import ProviderSpec


class Keyrings:
    def __init__(self, settings: Settings, environ: Mapping[str, str], tell: Callable[[str, str], None]) -> None:
        """`tell` hears, by topic and text, of every entry that was left out."""
        self._settings = settings
        self._environ = environ
        self._tell = tell
        self._found: dict[str, Keyring] = {}

    def of(self, spec: ProviderSpec) -> Keyring:
        """The keys of a provider by alias and source; the system's own keyring is asked when nothing else has one."""
        found = self._found.get(spec.name)
        if found is None:
            found = Keyring.find(spec, self._settings, self._environ)
            for note in found.notes:
                self._tell(f"keys-{spec.name}-{note}", f"{spec.title or spec.name}: {note}")
            self._found[spec.name] = found
        return found

    async def find(self, spec: ProviderSpec) -> None:
        """Have them at hand for `of`."""
        if spec.name not in self._found:
            await asyncio.to_thread(self.of, spec)

    def look_again(self, provider: str, settings: Settings) -> None:
        """From now on these settings count, which say otherwise of this provider than those before."""
        self._settings = settings
        self._found.pop(provider, None)

"""Which keys there are for a provider, where each came from, and what to call it in public.

A key is known everywhere by its alias (`openai#2`); its text lives in `Key.secret`, which no repr shows, and in the
request's own header. Finding keys is all that happens here: which of them may be used now is the limiter's business.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.core.settings import Settings
from workbench.core.types import KeyAlias
from workbench.providers.base import ProviderSpec

SYSTEM_SERVICE = "llm-workbench"
"""Service name under which `keyring set llm-workbench openai` stores a key or a comma list."""


@dataclass(frozen=True, slots=True)
class ConfiguredKey:
    """A key from the settings file; `account` names the organisation it belongs to, if it shares one."""

    secret: str = field(repr=False)
    account: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    secret: str = field(repr=False)
    alias: KeyAlias
    source: str
    """Where it was found: `OPENAI_API_KEY`, `settings` or `system keyring`."""
    fingerprint: str
    """Twelve hex digits of a hash: tells keys apart in files and logs without giving them away."""
    account: str = ""
    """Keys with the same non-empty account share one set of limits."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one provider, in the order in which they were found, and what was left out."""

    provider: str
    keys: tuple[Key, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def from_sources(
        cls,
        spec: ProviderSpec,
        environ: Mapping[str, str],
        configured: Sequence[str | ConfiguredKey] = (),
        *,
        shared_account: str = "",
        system: Callable[[str], str | None] | None = None,
    ) -> Keyring:
        """Collect keys from the environment, then the settings, then the system's own keyring.

        Every variable of `spec.key_variables` and the system's entry may hold one key or a comma list. Blanks,
        duplicates and values that cannot stand in a header are left out, each with a note. `shared_account` declares
        that all keys of this provider belong to one organisation.
        """
        keys: list[Key] = []
        notes: list[str] = []
        first_seen: dict[str, Key] = {}
        for source, entry in _entries(spec, environ, configured, system):
            secret = _unquoted(entry.secret)
            if not secret:
                notes.append(f"{source}: an empty entry was left out.")
            elif not (secret.isascii() and secret.isprintable()) or " " in secret:
                notes.append(f"{source}: an entry with blanks or control characters was left out.")
            elif secret in first_seen:
                notes.append(f"{source}: the same key as {first_seen[secret].alias}; left out.")
            else:
                key = Key(
                    secret=secret,
                    alias=KeyAlias(f"{spec.name}#{len(keys) + 1}"),
                    source=source,
                    fingerprint=fingerprint(spec.name, secret),
                    account=entry.account or shared_account,
                )
                first_seen[secret] = key
                keys.append(key)
        return cls(spec.name, tuple(keys), tuple(notes))

    @classmethod
    def find(
        cls,
        spec: ProviderSpec,
        settings: Settings,
        environ: Mapping[str, str],
        system: Callable[[str], str | None] | None = None,
    ) -> Keyring:
        """The keys that requests to this provider go out with; `keys`, the picker and the engine all ask here.

        The system's own keyring (`system`, read for real by default) is asked only where a key is needed and there is
        no other: it may take its time, or ask a person. So this is not for an event loop.
        """
        chosen = settings.provider(spec.name)
        account = spec.name if chosen.shared_account else ""
        found = cls.from_sources(spec, environ, chosen.secrets, shared_account=account)
        if found.keys or not spec.needs_key:
            return found
        stored = cls.from_sources(spec, {}, shared_account=account, system=system or read_system_keyring)
        return replace(stored, notes=(*found.notes, *stored.notes))


def fingerprint(provider: str, secret: str) -> str:
    return hashlib.sha256(f"{provider}\0{secret}".encode()).hexdigest()[:12]


def read_system_keyring(provider: str) -> str | None:
    """What the system's keyring holds for this provider; None without the optional `keyring` package or an entry."""
    try:
        backend = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        found = backend.get_password(SYSTEM_SERVICE, provider)
    except backend.errors.KeyringError:
        return None  # no backend, or locked: the same to us as no entry
    return found if isinstance(found, str) else None


def _entries(
    spec: ProviderSpec,
    environ: Mapping[str, str],
    configured: Sequence[str | ConfiguredKey],
    system: Callable[[str], str | None] | None,
) -> Iterator[tuple[str, ConfiguredKey]]:
    for variable in spec.key_variables:
        for part in _split(environ.get(variable)):
            yield variable, ConfiguredKey(part)
    for item in configured:
        entry = item if isinstance(item, ConfiguredKey) else ConfiguredKey(item)
        for part in _split(entry.secret, keep_empty=True):
            yield "settings", ConfiguredKey(part, entry.account)
    for part in _split(system(spec.name) if system is not None else None):
        yield "system keyring", ConfiguredKey(part)


def _split(text: str | None, *, keep_empty: bool = False) -> list[str]:
    """The parts of a comma list. A variable that is set to nothing is the same as one that is not set."""
    if text is None or (not text.strip() and not keep_empty):
        return []
    return text.split(",")


def _unquoted(text: str) -> str:
    """Without surrounding blanks and the quotes that some `.env` readers leave in place."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text

"""Everything a person can choose, from one TOML file.

Frozen, and whole or not at all: an unknown key, a wrong type or a broken file is a ConfigError that says where.
Providers' keys may stand here, so no `repr` shows them. Variables that hold keys and base URLs belong to the provider
rows, which lay them over what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from workbench.core.errors import ConfigError, UsageError
from workbench.core.params import params_from
from workbench.core.paths import Paths
from workbench.core.stored_keys import read_stored_keys, stored_keys_file
from workbench.core.toml import NotAKey, dotted, nearest, read_toml, struct_from, where
from workbench.core.types import Params

CONFIG_VARIABLE = "LLM_WORKBENCH_CONFIG"
GLOBAL_CONCURRENCY_VARIABLE = "LLM_GLOBAL_CONCURRENCY"
METRICS_VARIABLE = "LLM_METRICS"
"""Stands over `telemetry.prometheus`, so that one run of any command can be watched."""

LARGEST_CAP: Final = 4096
"""Calls at once over all processes: each has a byte of the file that they share."""

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=315_360_000)]
"""Ten years at most: clocks count in nanoseconds, of which there is no infinite number."""
TransportName: TypeAlias = Literal["http1", "http2", "aiohttp"]
FamilyName: TypeAlias = Literal["openai-chat", "openai-responses", "gemini", "anthropic", "litellm"]
SendKey: TypeAlias = Literal["auto", "chat", "editor"]


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    text: str = field(repr=False)


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[providers.<name>]`: changes a built-in row, or adds one (which then needs a base_url)."""

    base_url: str | None = None
    transport: TransportName | None = None
    family: FamilyName | None = None
    keys: str | tuple[str, ...] = ()
    """The secrets themselves, one or many."""
    key_variables: str | tuple[str, ...] = ()
    """Environment variables that hold keys, instead of the row's own."""
    shared_account: bool = False
    """True when all keys draw on one account's limits."""
    headers: dict[str, str] = {}
    """Sent with every request."""
    prefix: str | None = None
    """Models are written `prefix/…`; a new row's default is its name."""
    title: str | None = None
    needs_key: bool | None = None
    prices: Literal["free"] | None = None
    """`free` for hardware of one's own: costs show as 0 instead of unknown."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return _as_tuple(self.keys)

    @property
    def variables(self) -> tuple[str, ...]:
        return _as_tuple(self.key_variables)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"ProviderSettings({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = {"keys": f"<{len(self.secrets)} hidden>", "headers": dict.fromkeys(self.headers, "<hidden>")}
        return [(name, hidden.get(name, getattr(self, name))) for name in self.__struct_fields__]


class LaneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Pins for one lane; what is not set is learned."""

    max_in_flight: Positive | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    input_tokens_per_minute: Positive | None = None
    output_tokens_per_minute: Positive | None = None


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    max_concurrent: Positive = 32
    """Requests in flight per lane, at most; the lane's own window stays under it."""
    global_concurrency: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_CAP)] | None = None
    """Per provider, over all processes of this user on this machine."""
    max_cost_usd: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Of one session of the app, which pauses there and asks; None: no cap."""
    lanes: dict[str, LaneLimits] = {}
    """By provider (`openai`) or provider and model (`openai/gpt-5.4`); the longer name wins."""


class TimeoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    connect_s: Seconds = 10.0
    first_token_s: Seconds = 120.0
    idle_s: Seconds = 60.0
    total_s: Seconds = 600.0


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    max_retries: Annotated[int, msgspec.Meta(ge=0)] = 3
    retry_delay_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.5
    """Doubles with each attempt, with full jitter, up to 20 s."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    ttl_s: Seconds | None = None
    """None: answers do not age."""
    size_mb: Positive = 1024
    semantic: bool = False
    """Also answer a question from the answer to one that is much like it; each question is embedded for that."""
    semantic_threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    """How alike two questions must be: the cosine of their embeddings."""
    semantic_model: str = "text-embedding-3-small"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    """False records nothing at all: no runs, no usage totals."""
    keep_text: bool = True
    """False keeps figures only, no prompts and no answers."""


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves the program about its requests: figures and names, never a prompt, an answer or a key."""

    prometheus: str | None = None
    """Address to serve metrics on, such as `127.0.0.1:9464`; None serves none."""
    records: str | None = None
    """File that gets a JSON line for every request that ends; None writes none."""
    otel: bool = False
    """OpenTelemetry GenAI metrics and spans, to where `OTEL_EXPORTER_OTLP_ENDPOINT` says; needs the extra `otel`."""


class UISettings(msgspec.Struct, frozen=True, kw_only=True):
    theme: str | None = None
    """None leaves it to `TEXTUAL_THEME` or the app's own."""
    send_key: SendKey = "auto"
    frame_rate: Annotated[int, msgspec.Meta(ge=1, le=60)] = 24
    """Frames per second while answers stream; lowered by itself when a frame takes too long."""
    ascii: bool = False
    keymap: dict[str, str] = {}
    """Binding id to keys, comma-separated."""


class DefaultSettings(msgspec.Struct, frozen=True, kw_only=True):
    system: str = ""
    params: dict[str, Any] = {}

    def as_params(self) -> Params:
        return params_from(self.params)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration. `Settings()` is the defaults, reading neither files nor variables."""

    providers: dict[str, ProviderSettings] = {}
    aliases: dict[str, str] = {}
    """Short names for models or chains: `fast = "gpt-5.4-mini | gemini/gemini-3-flash"`."""
    fallbacks: dict[str, tuple[str, ...]] = {}
    """Model to the ones that are tried after it, in order."""
    limits: LimitSettings = LimitSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    cache: CacheSettings = CacheSettings()
    history: HistorySettings = HistorySettings()
    ui: UISettings = UISettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    lineups: dict[str, tuple[str, ...]] = {}
    default_lineup: str | None = None
    defaults: DefaultSettings = DefaultSettings()

    source: NotAKey[Source | None] = None
    """The file that all this was read from; None when there was none."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """The settings file where `environ` or the platform puts it, if there is one, under the variables."""
        return load_settings(None, environ)

    def provider(self, name: str) -> ProviderSettings:
        """What was chosen for this row; all unset when nothing was."""
        return self.providers.get(name, _NOTHING)

    def with_keys(self, provider: str, secrets: tuple[str, ...]) -> Settings:
        """The same, with these keys added to one provider's row."""
        row = self.provider(provider)
        return replace(self, providers={**self.providers, provider: replace(row, keys=(*row.secrets, *secrets))})

    def where(self, *key: str) -> str:
        """`config.toml:12: limits.max_concurrent`, for complaints about what only upper layers can judge."""
        return dotted(key) if self.source is None else where(self.source.path, self.source.text, key)


_NOTHING = ProviderSettings()


def settings_file(path: Path | None, environ: Mapping[str, str]) -> Path:
    """Which file counts: the one that was asked for, else the variable's, else the platform's place."""
    if path is not None:
        return path
    named = environ.get(CONFIG_VARIABLE)
    return Path(named).expanduser() if named else Paths.from_environment(environ).config_file


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the file and lay the variables over it.

    A file that was named, by argument or variable, must exist; the default one need not. Raises ConfigError for
    anything that is wrong in either, naming file, line and key, or the variable.
    """
    file = settings_file(path, environ)
    named = path is not None or bool(environ.get(CONFIG_VARIABLE))
    if not named and not file.exists():
        return _with_stored_keys(_with_environment(Settings(), environ), environ)
    text, tables = read_toml(file)
    settings = replace(struct_from(tables, Settings, file, text), source=Source(file, text))
    _check(settings)
    return _with_stored_keys(_with_environment(settings, environ), environ)


def _with_stored_keys(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Keys that were pasted into the program stand after those of the file."""
    stored = read_stored_keys(stored_keys_file(Paths.from_environment(environ).config))
    for provider, secrets in stored.items():
        settings = settings.with_keys(provider, secrets)
    return settings


def _with_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    if address := environ.get(METRICS_VARIABLE):
        settings = replace(settings, telemetry=replace(settings.telemetry, prometheus=address))
    cap = environ.get(GLOBAL_CONCURRENCY_VARIABLE)
    if not cap:
        return settings
    if not cap.isdecimal() or len(cap) > len(str(LARGEST_CAP)) or not 1 <= int(cap) <= LARGEST_CAP:
        expected = f"expected a whole number from 1 to {LARGEST_CAP}"
        raise ConfigError(f"{GLOBAL_CONCURRENCY_VARIABLE}: {expected}, got {cap!r}.")
    return replace(settings, limits=replace(settings.limits, global_concurrency=int(cap)))


def _check(settings: Settings) -> None:
    """What types cannot say."""
    for name, row in settings.providers.items():
        if row.base_url is not None and (complaint := url_complaint(row.base_url)):
            raise ConfigError(f"{settings.where('providers', name, 'base_url')}: {complaint}")
    if settings.default_lineup is not None and settings.default_lineup not in settings.lineups:
        raise ConfigError(
            f"{settings.where('default_lineup')}: no line-up is called {settings.default_lineup!r}.",
            hint=nearest(settings.default_lineup, tuple(settings.lineups)) or "Add it under [lineups].",
        )
    for name, models in settings.lineups.items():
        if not models:
            raise ConfigError(f"{settings.where('lineups', name)}: a line-up needs at least one model.")
    try:
        settings.defaults.as_params()
    except UsageError as exc:
        raise ConfigError(f"{settings.where('defaults', 'params')}: {exc.message}") from exc


def url_complaint(url: str) -> str:
    """What is wrong with a base URL, or empty. The URL may carry credentials, so it is not repeated."""
    scheme, _, rest = url.partition("://")
    if scheme in ("http", "https") and rest.strip("/"):
        return ""
    return "expected a URL that starts with http:// or https://."


def _as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value

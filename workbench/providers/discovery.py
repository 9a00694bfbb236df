"""Model servers on this machine: which of the usual ports answer, what answers there, and what it can do.

Looks at loopback only, never through a proxy, and sends nothing but small GETs. A port where something else lives (a
web server on 8080) is no finding; a model server that is still loading, or wants a key, is one with a problem.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from workbench.core.errors import KeyRejected, Overloaded, ProviderError, TimedOut, WorkbenchError
from workbench.providers.base import Deadlines
from workbench.providers.catalog import LOCAL
from workbench.providers.fetching import Account, fetch
from workbench.providers.http import Connections

CONNECT_S: Final = 0.3
"""Loopback answers in microseconds, or it refuses; only a machine in distress takes longer."""
_ANSWER_S: Final = 2.0


class ServerKind(StrEnum):
    OLLAMA = "Ollama"
    VLLM = "vLLM"
    SGLANG = "SGLang"
    LLAMA_CPP = "llama.cpp"
    LM_STUDIO = "LM Studio"
    TGI = "TGI"
    JAN = "Jan"
    KOBOLD = "KoboldCpp"
    DOCKER = "Docker Model Runner"
    UNKNOWN = "OpenAI-compatible"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place to look at, and what lives there if it does not say."""

    root: str
    usual: ServerKind
    api: str = "/v1"


CANDIDATES: Final = (
    Candidate("http://127.0.0.1:11434", ServerKind.OLLAMA),
    Candidate("http://127.0.0.1:8000", ServerKind.VLLM),
    Candidate("http://127.0.0.1:30000", ServerKind.SGLANG),
    Candidate("http://127.0.0.1:8080", ServerKind.LLAMA_CPP),
    Candidate("http://127.0.0.1:1234", ServerKind.LM_STUDIO),
    Candidate("http://127.0.0.1:1337", ServerKind.JAN),
    Candidate("http://127.0.0.1:5001", ServerKind.KOBOLD),
    Candidate("http://127.0.0.1:12434", ServerKind.DOCKER, "/engines/v1"),
)


@dataclass(frozen=True, slots=True)
class LocalModel:
    name: str
    context: int | None = None
    """Tokens that fit as the server has it loaded now; None when it does not say."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    kind: ServerKind
    base_url: str
    """Ready for `LOCAL_BASE_URL`."""
    models: tuple[LocalModel, ...] = ()
    problem: str = ""
    """Why it cannot be used right now, or what to beware of, as a sentence; empty when all is well."""


async def discover(connections: Connections, candidates: Iterable[Candidate] = CANDIDATES) -> tuple[LocalServer, ...]:
    """Look everywhere at once; what was found, in the candidates' order. Raises nothing for what does not answer."""
    found = await asyncio.gather(*(_look(connections, candidate) for candidate in candidates))
    return tuple(server for server in found if server is not None)


async def _look(connections: Connections, candidate: Candidate) -> LocalServer | None:
    if not await _listens(candidate.root):
        return None
    base_url = candidate.root + candidate.api
    try:
        listed = await _get(connections, base_url, "models")
    except (KeyRejected, Overloaded, TimedOut) as error:
        # Something that guards itself, or is busy, on a port where model servers live.
        return LocalServer(candidate.usual, base_url, problem=_problem(candidate.usual, error))
    except WorkbenchError:
        return None
    rows = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(rows, list):
        return None
    rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    kind = await _kind(connections, candidate, rows)
    contexts = await _contexts(connections, candidate.root, kind)
    models = tuple(sorted((_model(row, contexts) for row in rows), key=lambda model: model.name))
    return LocalServer(kind, base_url, models, "" if models else f"{kind} runs and has no model yet.")


async def _listens(root: str) -> bool:
    host, _, port = root.partition("://")[2].partition("/")[0].partition(":")
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _get(connections: Connections, base_url: str, path: str) -> Any:
    """Decoded JSON. Raises `ProviderError`s."""
    account = Account(replace(LOCAL, base_url=base_url))
    deadlines = Deadlines(connect_s=CONNECT_S, first_token_s=_ANSWER_S, total_s=_ANSWER_S)
    answer, _ = await fetch(connections, account, path, deadlines=deadlines)
    return answer


async def _get_table(connections: Connections, root: str, path: str) -> Mapping[str, Any]:
    """As `_get`; an empty table where there is nothing to be had."""
    try:
        answer = await _get(connections, root, path)
    except ProviderError:
        return {}
    return answer if isinstance(answer, dict) else {}


_OWNERS: Final = {
    "vllm": ServerKind.VLLM,
    "sglang": ServerKind.SGLANG,
    "library": ServerKind.OLLAMA,
    "llamacpp": ServerKind.LLAMA_CPP,
    "organization_owner": ServerKind.LM_STUDIO,
    "koboldcpp": ServerKind.KOBOLD,
    "docker": ServerKind.DOCKER,
}

_ROUTES: Final = (
    # A route that only this kind has, and a field of its answer.
    ("api/version", "version", ServerKind.OLLAMA),
    ("props", "default_generation_settings", ServerKind.LLAMA_CPP),
    ("api/v1/models", "models", ServerKind.LM_STUDIO),
    ("api/v0/models", "data", ServerKind.LM_STUDIO),
    ("info", "model_id", ServerKind.TGI),
    ("get_server_info", "model_path", ServerKind.SGLANG),
)


async def _kind(connections: Connections, candidate: Candidate, rows: list[dict[str, Any]]) -> ServerKind:
    """By what the list of models says, then by a route that only one kind has, then by the port."""
    for row in rows:
        owner = str(row.get("owned_by") or "").lower()
        if owner in _OWNERS:
            return _OWNERS[owner]
    answers = await asyncio.gather(*(_get_table(connections, candidate.root, path) for path, _, _ in _ROUTES))
    for answer, (_, field, kind) in zip(answers, _ROUTES, strict=True):
        if field in answer:
            return kind
    return candidate.usual


async def _contexts(connections: Connections, root: str, kind: ServerKind) -> dict[str, int]:
    """Tokens that fit, per model, as loaded right now; the name "" stands for every model."""
    match kind:
        case ServerKind.OLLAMA:
            loaded = await _get_table(connections, root, "api/ps")
            return _numbers(loaded.get("models"), "name", "context_length")
        case ServerKind.LLAMA_CPP:
            props = await _get_table(connections, root, "props")
            settings = props.get("default_generation_settings")
            size = settings.get("n_ctx") if isinstance(settings, dict) else None
            return {"": size} if isinstance(size, int) else {}
        case ServerKind.LM_STUDIO:
            models = (await _get_table(connections, root, "api/v1/models")).get("models")
            instances = [
                {"id": instance.get("id"), **(instance.get("config") or {})}
                for model in _tables(models)
                for instance in _tables(model.get("loaded_instances"))
            ]
            if not instances:
                older = (await _get_table(connections, root, "api/v0/models")).get("data")
                return _numbers(older, "id", "loaded_context_length")
            return _numbers(instances, "id", "context_length")
        case _:
            return {}


def _model(row: Mapping[str, Any], contexts: Mapping[str, int]) -> LocalModel:
    served = row.get("max_model_len") or row.get("context_length")
    name = str(row["id"])
    return LocalModel(
        name=name,
        context=contexts.get(name, contexts.get("", served if isinstance(served, int) else None)),
    )


def _problem(kind: ServerKind, error: WorkbenchError) -> str:
    match error:
        case KeyRejected():
            return f"{kind} wants a key: set LOCAL_API_KEY."
        case Overloaded():
            return f"{kind} is still loading its model."
        case TimedOut():
            return f"{kind} took the connection and said nothing for {_ANSWER_S:g} s."
        case _:
            return error.message


def _tables(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _numbers(rows: object, name: str, number: str) -> dict[str, int]:
    return {str(row.get(name)): row[number] for row in _tables(rows) if isinstance(row.get(number), int)}

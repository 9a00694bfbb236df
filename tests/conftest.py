"""What holds for every test: no network beyond loopback, directories of its own, no keys from outside."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from workbench.core.paths import CACHE_DIR_VARIABLE, CONFIG_DIR_VARIABLE, DATA_DIR_VARIABLE, STATE_DIR_VARIABLE

# A shared machine stalls now and then; how long one example takes is not what these tests are about.
settings.register_profile("workbench", deadline=None)
settings.load_profile("workbench")

FOREIGN_VARIABLES = (
    "*_API_KEY",
    "*_API_KEYS",
    "*_KEYS",
    "*_BASE_URL",
    "*_PROXY",
    "*_proxy",
    "LLM_*",
    "SSL_CERT_*",
    "TEXTUAL*",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
)
KEPT_VARIABLES = ("TEXTUAL_SNAPSHOT_TEMPDIR",)
"""The snapshot plugin's own, by which it finds its pictures again."""


class NetworkForbidden(RuntimeError):
    """A test reached beyond loopback. Not an OSError, so that no error mapping takes it for an answer."""


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse connections and look-ups that would leave the machine; `*.invalid` fails as RFC 6761 says it does."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        _require_loopback(self.family, address)
        connect(self, address)  # type: ignore[arg-type]  # typeshed's private address alias

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        _require_loopback(self.family, address)
        return connect_ex(self, address)  # type: ignore[arg-type]  # as above

    def guarded_getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host or "localhost"
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not _is_loopback(name):
            raise NetworkForbidden(f"look-up of {name!r} in a test")
        return getaddrinfo(host, *args, **kwargs)  # type: ignore[arg-type]  # handed through as it came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Private directories and an environment without keys, proxies and addresses; returns the directories' root."""
    for name in list(os.environ):
        if name not in KEPT_VARIABLES and any(fnmatch.fnmatchcase(name, pattern) for pattern in FOREIGN_VARIABLES):
            monkeypatch.delenv(name)
    root = tmp_path_factory.mktemp("home")
    monkeypatch.setenv(CONFIG_DIR_VARIABLE, str(root / "config"))
    monkeypatch.setenv(CACHE_DIR_VARIABLE, str(root / "cache"))
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(root / "state"))
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(root / "data"))
    # litellm would otherwise fetch its price map as it is imported.
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return root


def _require_loopback(family: socket.AddressFamily | int, address: object) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = address[0] if isinstance(address, tuple) else address
    if not _is_loopback(str(host)):
        raise NetworkForbidden(f"connection to {host!r} in a test")


def _is_loopback(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False

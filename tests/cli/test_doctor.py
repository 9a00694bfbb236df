from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from workbench.cli.checks import Check, Level, directories, local_servers, terminal
from workbench.cli.entry import run
from workbench.core.paths import Paths
from workbench.providers.discovery import Candidate, ServerKind
from workbench.providers.http import Connections
from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast") as running:
        yield running


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def checks(shown: str) -> Mapping[tuple[str, str], dict[str, str]]:
    return {(entry["subject"], entry["name"]): entry for entry in map(json.loads, shown.splitlines())}


@pytest.mark.parametrize("transport", ["http1", "http2", "aiohttp"])
def test_providers_with_a_key_are_reached_and_the_others_left_alone(
    transport: str,
    simulator: SimulatorThread,
    closed_port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[providers.openai]\nbase_url = "{simulator.base_urls["openai"]}"\ntransport = "{transport}"\n'
        f'[providers.together]\nbase_url = "http://127.0.0.1:{closed_port}/v1"\ntransport = "{transport}"\n'
    )
    monkeypatch.setenv("OPENAI_API_KEY", simulator.api_key)
    monkeypatch.setenv("TOGETHER_API_KEY", "together-key-0123456789")

    code = run(["doctor", "--json", "--config", str(config)])

    found = checks(capsys.readouterr().out)
    assert code == 1
    assert found["providers", "openai"]["level"] == Level.OK
    assert found["providers", "openai"]["detail"].endswith("; 1 key")
    assert found["providers", "together"]["level"] == Level.FAILURE
    assert "connection refused" in found["providers", "together"]["detail"]
    assert ("providers", "anthropic") not in found
    assert simulator.call(lambda simulation: simulation.journal.entries()) == []


def test_a_server_without_a_key_is_reached_where_somebody_said_it_is(
    simulator: SimulatorThread, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_BASE_URL", simulator.base_urls["local"])

    assert run(["doctor", "--json"]) == 0

    found = checks(capsys.readouterr().out)
    assert found["providers", "local"]["detail"].endswith("; needs no key")
    assert found["providers", "keys"]["level"] == Level.NOTE


async def test_local_servers_are_listed_with_what_would_make_them_usable(simulator: SimulatorThread) -> None:
    root = simulator.base_urls["local"].removesuffix("/v1")
    connections = Connections({})

    found = [check async for check in local_servers(connections, "", [Candidate(root, ServerKind.UNKNOWN)])]
    none = [check async for check in local_servers(connections, "", [])]
    await connections.aclose()

    assert [(check.level, check.subject) for check in found] == [(Level.OK, "local servers")]
    assert found[0].detail.startswith(f"{root}/v1: ")
    assert found[0].hint == f"LOCAL_BASE_URL={root}/v1 makes them local/MODEL."
    assert none == [Check("local servers", Level.NOTE, "none", "nothing answers on the usual ports")]


def test_a_broken_settings_file_is_one_finding_among_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nmax_concurent = 1\n")

    code = run(["doctor", "--offline", "--json", "--config", str(config)])

    found = checks(capsys.readouterr().out)
    assert code == 1
    assert found["settings", "settings"] == {
        "subject": "settings",
        "level": "FAIL",
        "name": "settings",
        "detail": f"{config}:2: limits.max_concurent: unknown key.",
        "hint": "Did you mean max_concurrent?",
    }
    assert found["versions", "textual"]["level"] == Level.OK


def test_settings_with_keys_that_others_can_read_are_pointed_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[providers.openai]\nkeys = "sk-abcdefghijklmnopqrst"\n')
    config.chmod(0o644)

    assert run(["doctor", "--offline", "--config", str(config)]) == 0

    shown = capsys.readouterr().out
    assert f"chmod 600 {config}" in shown
    assert "abcdefghij" not in shown


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_directory_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path)
    paths.cache.mkdir(mode=0o500)

    assert next(check for check in directories(paths) if check.name == "cache").level is Level.FAILURE


def test_directories_are_checked_without_being_made(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path / "new")
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "file").write_text("")

    levels = {
        check.name: check.level
        for check in directories(Paths(paths.config, tmp_path / "open", tmp_path / "file", paths.data))
    }

    assert levels == {"config": Level.OK, "cache": Level.WARNING, "state": Level.FAILURE, "data": Level.OK}
    assert not paths.config.exists()


@pytest.mark.parametrize(
    ("environ", "level", "detail"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Level.OK, "16.7 million"),
        ({"TERM": "xterm-256color"}, Level.NOTE, "256 (TERM=xterm-256color)"),
        ({"TERM": "dumb"}, Level.WARNING, "TERM is dumb"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Level.NOTE, "none, as NO_COLOR asks"),
    ],
    ids=["true colour", "256", "dumb", "NO_COLOR"],
)
def test_the_terminal_s_colours_are_told(environ: dict[str, str], level: Level, detail: str) -> None:
    colours = next(check for check in terminal(environ) if check.name == "colours")

    assert (colours.level, colours.detail) == (level, detail)


def test_tmux_is_noticed() -> None:
    assert any(check.name == "tmux" for check in terminal({"TMUX": "/tmp/tmux-0/default,1,0"}))

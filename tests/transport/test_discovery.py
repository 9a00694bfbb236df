"""Finding model servers on this machine: each kind by its own peculiarities, and nothing where nothing is."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping

import pytest
from scripted_servers import Handler, raw_server, read_request

from workbench.providers.discovery import CANDIDATES, Candidate, LocalModel, LocalServer, ServerKind, discover
from workbench.providers.http import Connections
from workbench.simulator.server import SimulatorThread


def serving(answers: Mapping[str, object], status: str = "200 OK") -> Handler:
    """JSON by path; 404 for every other one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            path = head.split(b" ", 2)[1].decode()
            said = answers.get(path, answers.get("*"))
            line = status if said is not None else "404 Not Found"
            body = json.dumps(said if said is not None else {"error": "not found"}).encode()
            writer.write(
                f"HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body
            )

    return serve


async def found_at(handler: Handler, usual: ServerKind = ServerKind.UNKNOWN) -> tuple[LocalServer, ...]:
    connections = Connections({"HTTP_PROXY": "http://127.0.0.1:1"})
    async with raw_server(handler) as port:
        try:
            return await discover(connections, [Candidate(f"http://127.0.0.1:{port}", usual)])
        finally:
            await connections.aclose()


@pytest.mark.parametrize(
    ("flavour", "kind"),
    [
        ("ollama", ServerKind.OLLAMA),
        ("vllm", ServerKind.VLLM),
        ("llamacpp", ServerKind.LLAMA_CPP),
        ("lmstudio", ServerKind.LM_STUDIO),
    ],
)
async def test_a_server_is_known_by_what_it_says_of_itself(flavour: str, kind: ServerKind):
    connections = Connections({})
    with SimulatorThread() as simulator:
        [server] = await discover(connections, [Candidate(f"{simulator.url}/{flavour}", ServerKind.UNKNOWN)])
        await connections.aclose()

    assert (server.kind, server.base_url, server.problem) == (kind, f"{simulator.url}/{flavour}/v1", "")
    assert server.models
    assert any(model.context for model in server.models)


async def test_ollama_tells_the_context_that_it_has_loaded_and_not_the_models_own():
    models = {"data": [{"id": "qwen3:8b", "owned_by": "library"}, {"id": "llama3:8b", "owned_by": "library"}]}
    loaded = {"models": [{"name": "qwen3:8b", "context_length": 4096}]}

    [server] = await found_at(serving({"/v1/models": models, "/api/ps": loaded}))

    assert server.models == (LocalModel("llama3:8b"), LocalModel("qwen3:8b", context=4096))


async def test_a_server_that_says_nothing_of_itself_is_told_by_its_routes_and_then_by_its_port():
    models = {"data": [{"id": "m", "owned_by": "me"}]}

    [by_route] = await found_at(serving({"/v1/models": models, "/info": {"model_id": "m"}}), ServerKind.LLAMA_CPP)
    [by_port] = await found_at(serving({"/v1/models": models}), ServerKind.JAN)

    assert (by_route.kind, by_port.kind) == (ServerKind.TGI, ServerKind.JAN)


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        pytest.param(
            serving({"*": {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}}, "503 X"),
            "llama.cpp is still loading its model.",
            id="loading",
        ),
        pytest.param(
            serving({"*": {"error": "no key"}}, "401 X"), "llama.cpp wants a key: set LOCAL_API_KEY.", id="key"
        ),
        pytest.param(serving({"/v1/models": {"data": []}}), "llama.cpp runs and has no model yet.", id="no model"),
    ],
)
async def test_a_server_that_cannot_be_used_yet_says_why(handler: Handler, problem: str):
    [server] = await found_at(handler, ServerKind.LLAMA_CPP)

    assert server.problem == problem


async def web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>hi</html>")
    await reader.read()


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(web_page, id="a web page"),
        pytest.param(serving({}), id="a server without the route"),
        pytest.param(serving({"/v1/models": ["something"]}), id="a list of something"),
        pytest.param(serving({"/v1/models": {"data": "nothing"}}), id="no list"),
    ],
)
async def test_what_is_no_model_server_is_no_finding(handler: Handler):
    assert await found_at(handler) == ()


async def test_closed_ports_are_no_finding():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        connections = Connections({})

        assert (
            await discover(connections, [Candidate(f"http://127.0.0.1:{unused.getsockname()[1]}", ServerKind.VLLM)])
            == ()
        )
        assert connections.statistics() == ()


def test_every_candidate_is_on_this_machine():
    assert all(candidate.root.startswith("http://127.0.0.1:") for candidate in CANDIDATES)

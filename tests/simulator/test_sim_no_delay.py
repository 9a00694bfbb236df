"""What the simulator sends leaves at once: a paced stream that waits for acknowledgements would be a slow model."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from workbench.simulator.server import SimulatorThread


def test_connections_send_small_pieces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    create = socket.create_server

    def remember(*args: Any, **options: Any) -> socket.socket:
        made.append(create(*args, **options))
        return made[-1]

    monkeypatch.setattr(socket, "create_server", remember)

    with SimulatorThread(profile="fast"):
        # What is accepted has it from the socket that listens.
        assert made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

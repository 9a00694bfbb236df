"""How far a request has come on its way out, for those who watch while nothing has come back yet.

The one value here that changes: a transport writes it as it goes, and whoever looks reads it at that moment. Until
headers arrive nothing else tells a server that cannot be reached from a model that is being loaded.
"""

from __future__ import annotations

from enum import Enum, auto


class Stage(Enum):
    UNTOLD = auto()
    """Nothing is known: not every transport tells."""
    CONNECTING = auto()
    """There is no connection that it could go over yet."""
    WRITING = auto()
    """There is one, and it does not take the whole request yet."""
    WRITTEN = auto()


class Sending:
    """One attempt's stamps in monotonic ns; None for what has not happened yet, or what nobody tells.

    A request that is sent again over another connection begins anew.
    """

    __slots__ = ("connected_ns", "dialled_ns", "sent_ns")

    def __init__(self) -> None:
        self.dialled_ns: int | None = None
        """When a connection was first looked for."""
        self.connected_ns: int | None = None
        """When there was one: a kept one at once, a new one after its handshake."""
        self.sent_ns: int | None = None
        """When the last byte was handed to the socket."""

    @property
    def stage(self) -> Stage:
        if self.sent_ns is not None:
            return Stage.WRITTEN
        if self.connected_ns is not None:
            return Stage.WRITING
        return Stage.UNTOLD if self.dialled_ns is None else Stage.CONNECTING

    @property
    def since_ns(self) -> int | None:
        """When this stage began; None while nothing is known."""
        return self.sent_ns or self.connected_ns or self.dialled_ns

    def dial(self, now_ns: int) -> None:
        """A connection is looked for: the first, or another one after one that had gone stale."""
        self.dialled_ns = self.dialled_ns or now_ns
        self.connected_ns = self.sent_ns = None

"""A client of `wire_client` in a child process: one job in, one sample out, imports and warm-up not counted."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator

import click
import msgspec

from workbench.bench.wire_client import Job, Sample


class ClientProcess:
    def __init__(self, name: str, ca_file: str) -> None:
        self.name = name
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "workbench.bench.wire_client", name, ca_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # A Ctrl-C in the terminal is for us, who then end it.
        )
        self._at_rest = False
        """It has answered, and nothing new was asked."""

    def run(self, job: Job) -> Sample:
        """Raises `click.ClickException` when the client fails; what it said stands on the error stream."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._at_rest = False
        self._child.stdin.write(msgspec.json.encode(job).decode() + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise click.ClickException(f"the client {self.name!r} failed on {job.base_url}")
        self._at_rest = True
        return msgspec.json.decode(answer, type=Sample)

    def close(self) -> None:
        """Closes its input, at which it ends, and waits for that; imports and jobs under way are broken off."""
        if not self._at_rest:
            self._child.kill()
        with contextlib.suppress(BrokenPipeError), self._child:
            pass


@contextlib.contextmanager
def client_processes(names: Iterable[str], ca_file: str) -> Iterator[list[ClientProcess]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(ClientProcess(name, ca_file))) for name in names]

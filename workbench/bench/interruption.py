"""Ctrl-C while something is measured: the end of the measuring, not of the program. What is complete is still shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

import click

from workbench.cli.ending import INTERRUPTED
from workbench.core.terminal import redraws

Item = TypeVar("Item")


class Interruption:
    """`collect` what is measured, show it, and `exit`."""

    def __init__(self) -> None:
        self.came = False

    def collect(self, items: Iterable[Item]) -> list[Item]:
        """All of them, or those that there are when Ctrl-C is pressed."""
        taken: list[Item] = []
        try:
            for item in items:
                taken.append(item)  # noqa: PERF402 - what there is when it is broken off counts
        except KeyboardInterrupt:
            self.tell()
        return taken

    def tell(self) -> None:
        """It came, somewhere else."""
        self.came = True
        # The terminal has written ^C where the cursor was, in the middle of a line that tells how far things are.
        fresh_line = "\r\x1b[K" if redraws(sys.stderr) else ""
        click.echo(f"{fresh_line}Broken off; what had ended counts.", err=True)

    def exit(self) -> None:
        """Raises, with the exit code for it, if it came."""
        if self.came:
            raise click.exceptions.Exit(INTERRUPTED)

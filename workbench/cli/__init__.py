"""The shell face: one module per command, each imported only when it runs, so that `--help` is instant."""

from __future__ import annotations


def main() -> None:
    """The console script. Exits with 0, 1 (something failed), 2 (wrong usage or settings) or 130 (interrupted)."""
    import sys

    from workbench.cli.entry import run

    sys.exit(run(sys.argv[1:]))

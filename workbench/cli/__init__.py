"""The shell face: one module per command, each imported only when it runs, so that `--help` is instant."""

from __future__ import annotations


def main() -> None:
    """The console script. Exits with 0, 1 (something failed), 2 (wrong usage or settings) or 130 (interrupted)."""
    import sys

    if None in (sys.stdin, sys.stdout, sys.stderr):
        from workbench.cli.closed_streams import stand_in_for_closed_streams

        stand_in_for_closed_streams()
    arguments = sys.argv[1:]
    if set(arguments) <= {"--demo"}:
        # Nothing to parse: click would be 15 ms of the 300 before the first frame.
        from workbench.cli.ending import exit_code_of
        from workbench.cli.opening import open_default_workbench

        sys.exit(exit_code_of(lambda: open_default_workbench(demo=bool(arguments))))

    from workbench.cli.entry import run

    sys.exit(run(arguments))

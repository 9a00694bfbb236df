"""A click group whose commands are modules, imported when they run; their help lines stand in the group's table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


class HelpfulGroup(click.Group):
    """A group that says which command was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            raise click.UsageError(f"No command is called {args[0]!r}.{self.suggestion(ctx, args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def suggestion(self, ctx: click.Context, word: str) -> str:
        """` Did you mean x?`, or empty."""
        from difflib import get_close_matches

        close = get_close_matches(word, self.list_commands(ctx), n=1, cutoff=0.7)
        return f" Did you mean {close[0]}?" if close else ""


class LazyGroup(HelpfulGroup):
    """`lazy` maps a name to the module that has `command`, and to the line that help shows for it."""

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # click's own options, as they came
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        command: click.Command = import_module(self.lazy[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])

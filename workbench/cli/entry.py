"""The root command: tells commands from prompts."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from workbench import __version__
from workbench.cli.ending import exit_code_of
from workbench.cli.invocation import Invocation
from workbench.cli.lazy import LazyGroup
from workbench.cli.options import config_option

COMMANDS = {
    "run": ("workbench.cli.run", "Ask one or many models from the shell; text or JSON lines."),
    "batch": ("workbench.cli.batch", "Hand many prompts to batch endpoints, at half the price; watch, fetch, retry."),
    "history": ("workbench.cli.history", "Recorded runs: list, search, show, export, forget."),
    "usage": ("workbench.cli.usage", "What was spent and saved, by model, day or session."),
    "cache": ("workbench.cli.cache", "What the response cache holds; prune, clear, export."),
    "models": ("workbench.cli.models", "Which models are known, which can be asked, what they cost."),
    "keys": ("workbench.cli.keys", "Which keys were found and where; never the keys."),
    "doctor": ("workbench.cli.doctor", "Check settings, directories, providers and the terminal."),
    "config": ("workbench.cli.config", "Where the settings are, what holds, and edit them."),
    "themes": ("workbench.cli.themes", "Which colour themes there are."),
    "simulate": ("workbench.cli.simulate", "Serve simulated providers on this machine."),
    "bench": ("workbench.cli.bench", "Measure the workbench against its peers."),
    "tui": ("workbench.cli.tui", "The workbench itself; what happens without a command."),
}


class RootGroup(LazyGroup):
    """Without a command's name the arguments are those of `tui`: a prompt, models, a theme."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        start = _after_config(args)
        rest = args[start:]
        if not rest or (rest[0] not in self.lazy and rest[0] not in ("--help", "-h", "--version")):
            self._catch_slip(ctx, rest)
            args = [*args[:start], "tui", *rest]
        return super().parse_args(ctx, args)

    def _catch_slip(self, ctx: click.Context, rest: Sequence[str]) -> None:
        """One word that nearly is a command is a slip, not a prompt."""
        if len(rest) == 1 and (suggestion := self.suggestion(ctx, rest[0])):
            raise click.UsageError(
                f"No command is called {rest[0]!r}.{suggestion} "
                f"If it is a prompt, say so: llm-workbench tui {rest[0]!r}.",
                ctx,
            )

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [PROMPT]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGUMENTS]", prefix=" " * len("Usage: "))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Without a command's name these are the workbench's own options; its module is as light as this one.
        from workbench.cli.tui import command as workbench

        options = [parameter for parameter in workbench.params if isinstance(parameter, click.Option)]
        of_workbench = [record for option in options if (record := option.get_help_record(ctx))]
        own = [record for parameter in self.get_params(ctx) if (record := parameter.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(list(dict.fromkeys([*of_workbench, *own])))
        self.format_commands(ctx, formatter)


@click.group(
    cls=RootGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try it without a key: llm-workbench --demo",
)
@config_option
@click.version_option(__version__, message="llm-workbench %(version)s")
def root() -> None:
    """Run and compare language models, side by side."""


def run(args: Sequence[str]) -> int:
    """The program's exit code."""
    return exit_code_of(lambda: _dispatch(args))


def _dispatch(args: Sequence[str]) -> int:
    try:
        code = root.main(list(args), prog_name="llm-workbench", standalone_mode=False, obj=Invocation(os.environ))
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort as exc:
        raise KeyboardInterrupt from exc
    return code if isinstance(code, int) else 0


def _after_config(args: Sequence[str]) -> int:
    """Index of the first argument that is not `--config FILE`."""
    index = 0
    while index < len(args):
        if args[index] == "--config":
            index += 2
        elif args[index].startswith("--config="):
            index += 1
        else:
            break
    return min(index, len(args))
